package httpx

import (
	"context"
	"fmt"
	"net"
	"time"
)

// stallTimeout is how long a client may take nothing of an answer before its connection is dropped.
const stallTimeout = 60 * time.Second

// Listen opens a TCP listener on addr ("127.0.0.1:7439", ":0"). On Linux the kernel drops those of its connections whose
// peer takes nothing for 60 s; a transfer that moves, however slowly, is never ended.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, stallTimeout)
}

func listen(ctx context.Context, addr string, stall time.Duration) (net.Listener, error) {
	config := net.ListenConfig{Control: dropStalled(stall)}
	config.SetMultipathTCP(false) // such sockets know no TCP_USER_TIMEOUT
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return ln, nil
}

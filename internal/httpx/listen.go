package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Listen opens a TCP listener on addr ("127.0.0.1:7439", ":0").
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, net.ListenConfig{})
}

// ListenBeside is Listen on an address on which other processes of the same user may listen at the same time, if they too do so by it.
func ListenBeside(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, net.ListenConfig{Control: shared})
}

func listen(ctx context.Context, addr string, config net.ListenConfig) (net.Listener, error) {
	config.SetMultipathTCP(false) // such sockets do not tell what their peer has taken
	ln, err := config.Listen(ctx, "tcp", addr)
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err // what it adds is said already
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return ln, nil
}

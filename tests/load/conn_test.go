package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// conn is one connection with a request at a time on it.
type conn struct {
	net.Conn
	in   *bufio.Reader
	addr string
}

// dial connects. A receive buffer of some bytes makes TCP's window show a slow reader; 0 leaves it as it is.
func dial(ctx context.Context, addr string, receive int) (*conn, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if receive == 0 {
			return nil
		}
		outer := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receive)
		})
		if err == nil {
			err = outer
		}
		return err
	}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 1<<10), addr: addr}, nil
}

// ask sends a request and reads the header of its answer, which must be 200.
func (c *conn) ask(method, path string) (*http.Response, error) {
	path = "/v2/" + host + "/" + path
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, c.addr); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d", method, path, resp.StatusCode)
	}
	return resp, nil
}

// get reads a body whole and checks its digest.
func (c *conn) get(path string, want digest.Digest) error {
	resp, err := c.ask(http.MethodGet, path)
	if err != nil {
		return err
	}
	verifier := want.Verifier()
	n, err := io.Copy(verifier, resp.Body)
	if err != nil {
		return fmt.Errorf("%s after %d bytes: %w", path, n, err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("%s: %d bytes are not %s", path, n, want)
	}
	return nil
}

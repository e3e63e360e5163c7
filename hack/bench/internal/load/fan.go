// Package load is the clients of the benchmark. An answer counts only if it is whole and right: every body is compared with
// the original, byte for byte. It costs little, so that it is not what is measured.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

// piece is how much of a body is read at once.
const piece = 64 << 10

// Reading is one body as a client got it; the times count from the moment at which all clients were let go.
type Reading struct {
	First time.Duration // to the first byte of the body
	Last  time.Duration
	Err   error // nil: whole and right
}

// Fan reads one blob with n clients at once, each on a connection of its own that is open before the clock starts.
func Fan(ctx context.Context, address, path string, want content.Original, n int) ([]Reading, error) {
	clients := make([]*client, n)
	for i := range clients {
		c, err := dial(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("connecting client %d: %w", i, err)
		}
		defer c.close()
		clients[i] = c
	}
	readings := make([]Reading, n)
	var done sync.WaitGroup
	begin := make(chan struct{})
	var start time.Time
	for i, c := range clients {
		done.Go(func() {
			<-begin
			first, last, err := c.get(path, want)
			readings[i] = Reading{First: first.Sub(start), Last: last.Sub(start), Err: err}
		})
	}
	start = time.Now()
	close(begin)
	done.Wait()
	return readings, nil
}

// Repeat reads one blob times times with each of n clients, and returns how many bytes came.
func Repeat(ctx context.Context, address, path string, want content.Original, n, times int) (int64, error) {
	var done sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		done.Go(func() { errs[i] = repeat(ctx, address, path, want, times) })
	}
	done.Wait()
	return int64(n) * int64(times) * int64(len(want)), errors.Join(errs...)
}

func repeat(ctx context.Context, address, path string, want content.Original, times int) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.close()
	for range times {
		if _, _, err := c.get(path, want); err != nil {
			return err
		}
	}
	return nil
}

// client is one connection that is kept alive.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
	stop   func() bool
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &client{conn: conn, reader: bufio.NewReader(conn), buffer: make([]byte, piece), stop: stop}, nil
}

func (c *client) close() {
	c.stop()
	_ = c.conn.Close() // there is nothing more to say to the server
}

// get reads one body and compares it.
func (c *client) get(path string, want content.Original) (first, last time.Time, err error) {
	if _, err = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, c.conn.RemoteAddr()); err != nil {
		return first, last, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return first, last, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return first, last, fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != int64(len(want)) {
		return first, last, fmt.Errorf("%s: %d bytes declared, want %d", path, resp.ContentLength, len(want))
	}
	first, err = want.Compare(resp.Body, c.buffer)
	return first, time.Now(), err
}

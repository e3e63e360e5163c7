package httpx

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/larder-dev/larder/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pipes is a listener whose connections live in memory, so that a test can own the time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// fixture is a server over pipes, in a bubble of time.
type fixture struct {
	t      *testing.T
	pipes  *pipes
	stop   context.CancelFunc
	result chan error
}

func start(t *testing.T, drain time.Duration, handler http.HandlerFunc) *fixture {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &fixture{t: t, pipes: newPipes(), stop: stop, result: make(chan error, 1)}
	go func() { f.result <- Serve(ctx, f.pipes, handler, Options{Log: testr.New(t), Drain: drain}) }()
	return f
}

// connect opens a connection, which the server has accepted when connect returns.
func (f *fixture) connect() *client {
	f.t.Helper()
	ours, theirs := net.Pipe()
	f.pipes.conns <- theirs
	synctest.Wait()
	f.t.Cleanup(func() { _ = ours.Close() })
	return &client{t: f.t, conn: ours, in: bufio.NewReader(ours)}
}

// stopsAfter stops the server and checks how long that takes, to the nanosecond.
func (f *fixture) stopsAfter(want time.Duration) error {
	f.t.Helper()
	begin := time.Now()
	f.stop()
	err := <-f.result
	if took := time.Since(begin); took != want {
		f.t.Errorf("stopping took %s, want %s", took, want)
	}
	return err
}

type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// send sends a part of a request and waits until the server has seen it.
func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

func (c *client) get() { c.t.Helper(); c.send("GET / HTTP/1.1\r\nHost: larder\r\n\r\n") }

// answer reads a whole response.
func (c *client) answer() (status int, body string, err error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

func (c *client) wantAnswer(status int, body string) {
	c.t.Helper()
	if gotStatus, gotBody, err := c.answer(); err != nil || gotStatus != status || gotBody != body {
		c.t.Errorf("answer: %d %q, %v, want %d %q", gotStatus, gotBody, err, status, body)
	}
}

// closedAfter checks that the server closes the connection, after just that time.
func (c *client) closedAfter(want time.Duration) {
	c.t.Helper()
	begin := time.Now()
	_, err := io.Copy(io.Discard, c.in)
	if err != nil {
		c.t.Error(err)
	}
	if took := time.Since(begin); took != want {
		c.t.Errorf("the connection was closed after %s, want %s", took, want)
	}
}

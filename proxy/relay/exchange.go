package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-dev/larder/internal/hop"
)

const (
	dialTime    = 2 * time.Second
	tlsTime     = 10 * time.Second
	idleTime    = 30 * time.Second // without a byte of the answer: the connection counts as broken (B3)
	keepTime    = time.Minute      // how long a connection is kept unused; the registry keeps it for two
	keepMost    = 64               // unused connections to one replica
	headBuffer  = 4 << 10
	spliceChunk = 1 << 20 // moved within one deadline
)

// exchanger speaks HTTP/1.1 with the registry's replicas. net/http's client would do, but it keeps the connection behind a buffer
// of its own: every byte of a body would be copied into this process and out of it again. Here the body of a blob goes from socket
// to socket inside the kernel.
type exchanger struct {
	trust *hop.Trust // nil: plain HTTP

	mu   sync.Mutex
	idle map[string][]*conn
}

// conn is a connection to a replica: of TCP, or of TLS on top of it, which costs the way inside the kernel.
type conn struct {
	net.Conn
	in      *bufio.Reader
	address string
	used    time.Time // when it was given back
}

func newExchanger(trust *hop.Trust) *exchanger {
	return &exchanger{trust: trust, idle: map[string][]*conn{}}
}

// roundTrip sends a request without a body and reads the answer up to its body, which ends with ctx. A connection that was kept and
// proves dead is replaced.
func (x *exchanger) roundTrip(ctx context.Context, address string, req *http.Request) (*http.Response, error) {
	for {
		c := x.take(address)
		kept := c != nil
		if !kept {
			var err error
			if c, err = x.dial(ctx, address); err != nil {
				return nil, err
			}
		}
		resp, err := x.exchange(ctx, c, req)
		if err == nil {
			return resp, nil
		}
		_ = c.Close() // the error is told already
		if !kept || isTimeout(err) || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (x *exchanger) exchange(ctx context.Context, c *conn, req *http.Request) (*http.Response, error) {
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(idleTime)) // fails on a closed connection, as all that follows does
	err := req.Write(c.Conn)
	var resp *http.Response
	for err == nil && (resp == nil || resp.StatusCode < http.StatusOK) { // what informs is no answer yet
		resp, err = http.ReadResponse(c.in, req)
	}
	if err != nil {
		release()
		return nil, err
	}
	b := &body{ReadCloser: resp.Body, conn: c, pool: x, release: release, left: resp.ContentLength, keep: !resp.Close}
	if req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		b.left = 0
	}
	resp.Body = b
	return resp, nil
}

func (x *exchanger) dial(ctx context.Context, address string) (*conn, error) {
	dialer := net.Dialer{Timeout: dialTime}
	dialer.SetMultipathTCP(false) // splice wants plain TCP
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil && x.trust != nil {
		c, err = secure(ctx, c, x.trust.Config())
	}
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, headBuffer), address: address}, nil
}

// secure makes sure that the registry is at the other end. It closes a connection where it is not.
func secure(ctx context.Context, plain net.Conn, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tlsTime)
	defer cancel()
	c := tls.Client(plain, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // the error is told already
		return nil, fmt.Errorf("asking who is there: %w", err)
	}
	return c, nil
}

// take returns a connection that is kept, the youngest first; nil where there is none.
func (x *exchanger) take(address string) *conn {
	x.mu.Lock()
	defer x.mu.Unlock()
	kept := x.idle[address]
	if len(kept) == 0 {
		return nil
	}
	youngest := kept[len(kept)-1]
	x.idle[address] = kept[:len(kept)-1]
	return youngest
}

func (x *exchanger) keep(c *conn) {
	c.used = time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.idle[c.address]) >= keepMost {
		_ = c.Close()
		return
	}
	x.idle[c.address] = append(x.idle[c.address], c)
}

// tidy closes the connections that were not used since a time.
func (x *exchanger) tidy(since time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for address, kept := range x.idle {
		var young []*conn
		for _, c := range kept {
			if c.used.Before(since) {
				_ = c.Close()
			} else {
				young = append(young, c)
			}
		}
		if x.idle[address] = young; len(young) == 0 {
			delete(x.idle, address)
		}
	}
}

// body is the body of an answer. Read to its end, its connection is kept.
type body struct {
	io.ReadCloser // as http.ReadResponse made it
	conn          *conn
	pool          *exchanger
	release       func() bool // of the context
	left          int64       // < 0: not known
	keep          bool
	closed        atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(idleTime)) // a closed connection fails in Read
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if errors.Is(err, io.EOF) && b.left < 0 {
		b.left = 0
	}
	return n, err
}

// WriteTo sends the rest of a body of known length: what is buffered, then the rest by splice(2), where w is a TCP connection
// or a ResponseWriter in front of one. An end that comes too early is io.ErrUnexpectedEOF.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	if b.left < 0 {
		return io.Copy(w, struct{ io.Reader }{b})
	}
	var sent int64
	for b.left > 0 {
		n, err := b.move(w)
		sent += n
		b.left -= n
		if err != nil && (n == 0 || !isTimeout(err)) { // what moved within the deadline is no idle connection
			return sent, err
		}
	}
	return sent, nil
}

// move sends one chunk.
func (b *body) move(w io.Writer) (int64, error) {
	if n := min(int64(b.conn.in.Buffered()), b.left); n > 0 {
		return io.CopyN(w, b.conn.in, n)
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(idleTime)) // a closed connection fails in ReadFrom
	n, err := io.Copy(w, &io.LimitedReader{R: b.conn.Conn, N: min(b.left, spliceChunk)})
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	// What was not asked for would be taken for the next answer.
	if b.release() && b.keep && b.left == 0 && b.conn.in.Buffered() == 0 {
		b.pool.keep(b.conn)
		return nil
	}
	return b.conn.Close()
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

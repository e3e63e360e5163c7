package origin

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/larder-dev/larder/tests/port"
)

// listener is a TCP listener that counts, and that can refuse connections and listen again at the same address.
type listener struct {
	address string // host:port, the same for its whole life
	addr    *net.TCPAddr
	port    *port.Port

	mu       sync.Mutex
	inner    net.Listener // nil while connections are refused
	conns    map[*conn]struct{}
	accepted int
	babbling bool
	closed   bool
	changed  chan struct{} // closed and replaced when inner or closed changes

	babblers sync.WaitGroup
}

// conn is a connection that its listener knows.
type conn struct {
	*net.TCPConn
	owner *listener
}

func (c *conn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.TCPConn.Close()
}

func listen(address string) (*listener, error) {
	kept, err := port.Keep(address)
	if err != nil {
		return nil, err
	}
	inner, err := kept.Listen()
	if err != nil {
		_ = kept.Close()
		return nil, err
	}
	return &listener{
		address: kept.String(), addr: inner.Addr().(*net.TCPAddr), port: kept, inner: inner,
		conns: map[*conn]struct{}{}, changed: make(chan struct{}),
	}, nil
}

// Accept waits through times in which connections are refused.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.open()
		if err != nil {
			return nil, err
		}
		c, err := inner.Accept()
		if err != nil {
			if l.current(inner) {
				return nil, err
			}
			continue
		}
		if known := l.admit(inner, c); known != nil {
			return known, nil
		}
	}
}

// open returns the inner listener as soon as there is one.
func (l *listener) open() (net.Listener, error) {
	for {
		l.mu.Lock()
		inner, closed, changed := l.inner, l.closed, l.changed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if inner != nil {
			return inner, nil
		}
		<-changed
	}
}

func (l *listener) current(inner net.Listener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner == inner
}

// admit makes c known, or returns nil where it is not to be served.
func (l *listener) admit(inner net.Listener, c net.Conn) *conn {
	known := &conn{TCPConn: c.(*net.TCPConn), owner: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != inner {
		c.Close() // refused while it was accepted
		return nil
	}
	l.accepted++
	l.conns[known] = struct{}{}
	if l.babbling {
		l.babblers.Go(func() { babble(known) })
		return nil
	}
	return known
}

// babble answers the first byte in another protocol. It reads on until the client goes, so that no reset overtakes what was said.
func babble(c *conn) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return
	}
	if _, err := io.WriteString(c, "500 what did you say?\r\n"); err != nil {
		return
	}
	if c.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}

func (l *listener) setBabbling(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.babbling = on
}

// refuse stops listening and closes every connection.
func (l *listener) refuse() {
	l.mu.Lock()
	if l.inner != nil {
		l.inner.Close()
		l.inner = nil
		l.notify()
	}
	l.mu.Unlock()
	l.closeConns()
}

func (l *listener) closeConns() {
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// resume listens again where refuse stopped that, and ends babbling.
func (l *listener) resume() error {
	l.setBabbling(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil || l.closed {
		return nil
	}
	inner, err := l.port.Listen()
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	l.inner = inner
	l.notify()
	return nil
}

func (l *listener) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = 0
}

// Close ends Accept and every connection. It may be called again.
func (l *listener) Close() error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	l.refuse()
	l.mu.Lock()
	l.notify()
	l.mu.Unlock()
	l.babblers.Wait()
	if again {
		return nil
	}
	return l.port.Close()
}

// Addr returns the address also while connections are refused.
func (l *listener) Addr() net.Addr { return l.addr }

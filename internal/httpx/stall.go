package httpx

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// stallTimeout is how long a client may take nothing of an answer before its connection is dropped.
	stallTimeout = 60 * time.Second
	// stallLooks is how often it is looked at meanwhile.
	stallLooks = 8
)

// stalls drops the connections whose peer takes nothing of what is to be sent to it. It asks the kernel what the peer has
// taken, so it sees inside sendfile too, and unlike a write deadline it bounds the time without progress alone.
//
// TCP_USER_TIMEOUT is not for this: it also ends a transfer that moves, where the peer's window never opens as far as the next
// segment that waits; so it is with any client that reads slowly through a small buffer.
type stalls struct {
	timeout time.Duration

	mu   sync.Mutex
	seen map[net.Conn]progress
}

// progress is how much a peer had taken when it last took something, or had nothing to take.
type progress struct {
	taken uint64
	at    time.Time
}

func newStalls(timeout time.Duration) *stalls {
	return &stalls{timeout: timeout, seen: make(map[net.Conn]progress)}
}

// track is a ConnState hook.
func (s *stalls) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[conn] = progress{at: time.Now()}
	case http.StateClosed, http.StateHijacked:
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.seen, conn)
	}
}

// run looks at the connections until ctx ends.
func (s *stalls) run(ctx context.Context) {
	ticker := time.NewTicker(s.timeout / stallLooks)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.look(now)
		}
	}
}

func (s *stalls) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, last := range s.seen {
		taken, waiting := takenBy(beneath(conn))
		if !waiting || taken != last.taken {
			s.seen[conn] = progress{taken, now}
		} else if now.Sub(last.at) >= s.timeout {
			drop(conn)
		}
	}
}

// beneath is the connection that TLS goes over, or the connection itself.
func beneath(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

// drop breaks a connection off: what waits to be sent would otherwise outlive it in the kernel. TLS would wait to say goodbye.
func drop(conn net.Conn) {
	conn = beneath(conn)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a connection that is gone already needs none
	}
	_ = conn.Close() // its goroutine sees the end, and reports it to track
}

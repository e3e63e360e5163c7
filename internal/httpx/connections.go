package httpx

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections knows which connections of a server have not carried a request yet, and when all are gone.
type connections struct {
	freshCount atomic.Int64 // len(fresh): lets requests pass without the lock

	mu    sync.Mutex
	fresh map[net.Conn]struct{}
	open  int
	gone  chan struct{} // not nil once the server stops; closed when no connection is open
}

func newConnections() *connections { return &connections{fresh: make(map[net.Conn]struct{})} }

// track is a ConnState hook.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.add(conn)
	case http.StateActive:
		if c.freshCount.Load() > 0 {
			c.used(conn)
		}
	case http.StateClosed, http.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.fresh[conn] = struct{}{}
	c.freshCount.Store(int64(len(c.fresh)))
}

func (c *connections) used(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fresh, conn)
	c.freshCount.Store(int64(len(c.fresh)))
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fresh, conn)
	c.freshCount.Store(int64(len(c.fresh)))
	c.open--
	if c.open == 0 && c.gone != nil {
		close(c.gone)
	}
}

// awaitUsed returns when every connection has carried a request, after most at the latest. It wants to see that twice: a request counts
// a moment before its handler runs.
func (c *connections) awaitUsed(most time.Duration) {
	const looks = 100
	used := 0
	for range looks {
		if used++; c.freshCount.Load() > 0 {
			used = 0
		}
		if used == 2 || most == 0 {
			return
		}
		time.Sleep(most / looks)
	}
}

// closeFresh closes the connections that never carried a request, and returns a channel that is closed when all
// others are gone too. It may be called once, when no connection can be added any more.
func (c *connections) closeFresh() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.fresh {
		_ = conn.Close() // its goroutine sees the end, and reports it to track
	}
	c.gone = make(chan struct{})
	if c.open == 0 {
		close(c.gone)
	}
	return c.gone
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

package httpx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10

	// unwindTimeout is how long handlers have to return once their connections are closed.
	unwindTimeout = 2 * time.Second
)

// Options configure Serve.
type Options struct {
	Log   logr.Logger
	Drain time.Duration // how long requests that run when the server stops may go on; 0: not at all
	Fresh time.Duration // how long it goes on accepting while connections have not carried a request yet; 0: not at all

	stall time.Duration // stallTimeout; a test has less
}

// Serve answers the connections of ln, HTTP/1.1, until ctx ends; of a listener that tls.NewListener made, by TLS. Then, after o.Fresh at most, it accepts no more,
// closes connections without a request at once, and returns as soon as the requests that run are answered; after o.Drain it breaks them
// off. It closes ln. A nil error says that no handler runs any more.
//
// Headers must arrive within 10 s, and a request body within 30 s. On Linux a client that takes nothing of its answer
// for 60 s is dropped; a transfer that moves, however slowly, is never ended. A request's context carries ctx's values, and ends
// with its connection, not with ctx.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, o Options) error {
	requests, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	s := &server{
		drain: o.Drain, fresh: o.Fresh, log: o.Log, breakOff: breakOff, conns: newConnections(), stalls: newStalls(cmp.Or(o.stall, stallTimeout)),
	}
	s.http = &http.Server{
		Handler:           boundBodies(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         new(http.Protocols),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnState:         s.track,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(o.Log), slog.LevelError),
	}
	s.http.Protocols.SetHTTP1(true)
	watching, stopWatching := context.WithCancel(requests)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopWatching()
	wg.Go(func() { s.stalls.run(watching) })
	return s.run(ctx, ln)
}

type server struct {
	http     *http.Server
	conns    *connections
	stalls   *stalls
	drain    time.Duration
	fresh    time.Duration
	log      logr.Logger
	breakOff context.CancelFunc // ends the contexts of all requests
}

// track is the ConnState hook.
func (s *server) track(conn net.Conn, state http.ConnState) {
	s.conns.track(conn, state)
	s.stalls.track(conn, state)
}

func (s *server) run(ctx context.Context, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(ln) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serving %s: %w", ln.Addr(), err), s.abort(s.conns.closeFresh()))
	case <-ctx.Done():
		return s.shutDown(served)
	}
}

// shutDown stops the server gently. http.Server's own Shutdown only helps: it takes up to 5 s to give up a connection that never
// carried a request, and up to 500 ms to notice that the last answer is out.
func (s *server) shutDown(served <-chan error) error {
	s.conns.awaitUsed(s.fresh) // before: net/http drops what it reads once it stops
	polling, stopPolling := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopPolling()
	wg.Go(func() { _ = s.http.Shutdown(polling) })
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		s.log.Error(err, "the listener failed while the server stopped")
	}
	// The listener is closed: no connection can be added any more.
	gone := s.conns.closeFresh()
	select {
	case <-gone:
		return nil
	case <-time.After(s.drain):
		if n := s.conns.count(); n > 0 {
			s.log.Info("breaking off requests that did not end in time", "requests", n, "drain", s.drain)
		}
		return s.abort(gone)
	}
}

// abort closes every connection and waits until the handlers have returned.
func (s *server) abort(gone <-chan struct{}) error {
	s.breakOff()
	_ = s.http.Close() // it can only repeat the error of closing the listener
	select {
	case <-gone:
		return nil
	case <-time.After(unwindTimeout):
		return fmt.Errorf("stopping: %d requests still run %s after their connections were closed", s.conns.count(), unwindTimeout)
	}
}

package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// server is one of an origin's listeners with what answers there.
type server struct {
	listener *listener
	http     *http.Server
	scheme   string
	stop     context.CancelFunc // ends the context of every request
	served   chan struct{}      // closed when Serve has returned
	handlers gate
}

type connKey struct{}

// serve starts a server; a nil config means plain HTTP.
func serve(address string, config *tls.Config, handler http.Handler) (*server, error) {
	l, err := listen(address)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &server{listener: l, scheme: "http", stop: stop, served: make(chan struct{})}
	s.http = &http.Server{
		Handler:     s.handlers.guard(handler),
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, tcpConn(c))
		},
	}
	var accept net.Listener = l
	if config != nil {
		s.scheme = "https"
		accept = tls.NewListener(l, config)
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(accept); !errors.Is(err, http.ErrServerClosed) {
			l.Close()
		}
	}()
	return s, nil
}

func tcpConn(c net.Conn) *net.TCPConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn).TCPConn
}

func (s *server) url() string { return s.scheme + "://" + s.listener.address }

// urlAt names the host otherwise: some clients take no token server at a private address, but any by name.
func (s *server) urlAt(host string) string {
	return s.scheme + "://" + net.JoinHostPort(host, strconv.Itoa(s.listener.addr.Port))
}

// close returns when the last handler has.
func (s *server) close() {
	s.handlers.shut()
	s.stop()
	s.http.Close()
	s.listener.Close()
	<-s.served
	s.handlers.wait()
}

// gate lets handlers in until it is shut. A WaitGroup alone will not do: requests arrive while it is waited for.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside.Add(1)
	}
	return !g.closed
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) wait() { g.inside.Wait() }

func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter() {
			panic(http.ErrAbortHandler)
		}
		defer g.inside.Done()
		next.ServeHTTP(w, r)
	})
}

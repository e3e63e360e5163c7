// Package server is what larder serve and larder registry have in common: it owns a data folder, listens, answers container runtimes
// from the cache on that folder, and drains at the end. Where policies come from, and what is mirrored, is for those two to say.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/larder-dev/larder/internal/app/admin"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/proxy"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// drain is how long clients that are reading may go on after the end was asked for.
	drain = 30 * time.Second
	// grace is how long clients that wait for an origin may go on.
	grace = 400 * time.Millisecond
)

// Options configure a Server.
type Options struct {
	owner.Options
	Listen        string // host:port of the proxy face
	MetricsListen string // host:port of metrics and probes
	Gatherer      prometheus.Gatherer
	TLS           *tls.Config // of the proxy face; nil: plain HTTP
	Changes       *metrics.Events
	Source        string // of events, unless the options say another

	// Known says whether the policies in force are what users want, so that larder-proxy may learn from them; nil: always.
	Known func() bool
	// Lead calls work each time that this process becomes the one of several on a shared store that deletes, until ctx ends; the context that
	// work gets ends when another may be. Nil: on a shared store nobody deletes.
	Lead func(ctx context.Context, work func(context.Context))
	// Holds says whether who shows a token may pull, as in proxy.Options; nil: everybody may.
	Holds func(token string) bool
}

// Server is a cache with its listeners. Its methods are called in this order: Open, Listen, Serve and, whatever they returned, Close.
type Server struct {
	o       Options
	owner   *owner.Owner
	main    net.Listener
	admin   net.Listener
	control net.Listener // nil where there is none
	ready   atomic.Bool
	teller  *events.Teller
	sweeps  chan struct{} // full while something routinely sweeps, or evicts and then sweeps: they take turns
}

// New returns a server. What Options.Self returns is refused as an origin besides the server's own addresses.
func New(o Options) *Server {
	s := &Server{o: o, sweeps: make(chan struct{}, 1)}
	s.o.Self = s.self
	if o.Self != nil {
		s.o.Self = func() []string { return append(s.self(), o.Self()...) }
	}
	return s
}

// Open takes the data folder and opens the cache on it. Where another process owns the folder, the error is store.ErrOwned.
func (s *Server) Open(ctx context.Context) (err error) {
	s.owner, err = owner.Open(ctx, s.o.Options)
	if errors.Is(err, store.ErrOwned) {
		return fmt.Errorf("%w: stop it, or give this one a folder of its own with --data", err)
	}
	if err != nil {
		return err
	}
	return s.openTeller()
}

// Grants are who may pull what; nil where everybody may pull all.
func (s *Server) Grants() *grant.Keeper { return s.owner.Keeper }

// Cache is the open cache.
func (s *Server) Cache() *cache.Cache { return s.owner.Cache }

// Listen opens the listeners. From now on clients connect, and wait for Serve.
func (s *Server) Listen(ctx context.Context) (err error) {
	if s.admin, err = httpx.Listen(ctx, s.o.MetricsListen); err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	if s.main, err = httpx.Listen(ctx, s.o.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	// A data folder that went read-only takes no socket, but can still be served from.
	if s.control, err = control.Listen(ctx, store.SocketPath(s.o.Data)); err != nil {
		s.o.Log.Error(err, "larder pull cannot hand its work to this process")
	}
	return nil
}

// Addresses are the host:port pairs of the proxy face, and of metrics and probes.
func (s *Server) Addresses() (main, admin string) {
	return s.main.Addr().String(), s.admin.Addr().String()
}

// self are the host:port pairs under which this process is reached.
func (s *Server) self() []string {
	var pairs []string
	for _, listener := range []net.Listener{s.main, s.admin} {
		if listener == nil {
			continue
		}
		address := listener.Addr().String()
		pairs = append(pairs, address, Reachable(address))
	}
	return pairs
}

// Storage says where the images are, in a person's words.
func (s *Server) Storage() string {
	if root, ok := s.o.Storage.Parameters["rootdirectory"].(string); ok && s.o.Storage.Driver == "filesystem" {
		return root
	}
	if driver := s.o.Storage.Driver; driver != "" && driver != "filesystem" {
		return driver + ", with transfers in " + s.o.Data
	}
	return s.o.Data
}

// Serve answers until ctx ends, and then while clients are reading, for 30 s at most. A listener that fails ends it as well. Beside that
// run the cache's routine and what background holds, each function until the context it gets ends.
func (s *Server) Serve(ctx context.Context, background ...func(context.Context)) error {
	group, ctx := errgroup.WithContext(ctx)
	probes, endProbes := context.WithCancel(context.WithoutCancel(ctx))
	s.ready.Store(true) // the listeners are open
	defer context.AfterFunc(ctx, s.end)()
	group.Go(func() error {
		return httpx.Serve(probes, s.admin, admin.Handler(s.o.Gatherer, s.check), httpx.Options{Log: s.o.Log.WithName("probes"), Drain: grace})
	})
	group.Go(func() error {
		defer endProbes()
		return httpx.Serve(ctx, s.face(), s.handler(), httpx.Options{Log: s.o.Log.WithName("server"), Drain: drain})
	})
	if s.control != nil {
		group.Go(func() error { return control.Serve(ctx, s.control, s.owner.Work(), s.o.Log.WithName("control")) })
	}
	if keeper := s.owner.Keeper; keeper != nil {
		background = append(background, keeper.Run)
	}
	for _, run := range append(append(s.routine(), s.teller.Run), background...) {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// face is the listener of the proxy face. TLS goes over one that stays as it is: what is stored goes straight to plain sockets alone.
func (s *Server) face() net.Listener {
	if s.o.TLS == nil {
		return s.main
	}
	return tls.NewListener(s.main, s.o.TLS)
}

// handler is the face to container runtimes.
func (s *Server) handler() http.Handler {
	o := proxy.Options{Self: s.self, Holds: s.o.Holds, Redirect: s.o.Storage.Redirect, Log: s.o.Log.WithName("proxy")}
	if keeper := s.owner.Keeper; keeper != nil {
		o.Admit = keeper.Admit
	}
	face := proxy.New(s.owner.Cache, o)
	named := &namesFace{
		policies: s.o.Policies, holds: s.o.Holds, known: s.o.Known, held: s.o.Metrics.HeldNames, log: s.o.Log.WithName("names"), next: face,
	}
	return httpx.Observe(s.o.Metrics, logging.NewTyped(s.o.Log.WithName("access")), named)
}

func (s *Server) check() error {
	if !s.ready.Load() {
		return errors.New("not listening")
	}
	return nil
}

// end begins the end: those who wait for an origin get a moment, those who read get the whole time to drain.
func (s *Server) end() {
	s.ready.Store(false)
	s.o.Log.Info("stopping")
	time.AfterFunc(grace, s.owner.Cache.Stop)
}

// Close takes down what is left, also of a server that did not come up.
func (s *Server) Close() error {
	for _, listener := range []net.Listener{s.main, s.admin, s.control} {
		if listener != nil {
			_ = listener.Close() // closed already where it was served
		}
	}
	if s.owner == nil {
		return nil
	}
	return s.owner.Close()
}

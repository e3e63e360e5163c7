package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
)

// errStopping is what a client is told whose work ends with the process.
var errStopping = fmt.Errorf("%w: it is stopping; run the command again when it is back", ErrGone)

// Serve answers clients on listener by owner, until ctx ends. Then it tells the clients that still wait, closes
// the listener and returns.
func Serve(ctx context.Context, listener net.Listener, owner Owner, log logr.Logger) error {
	s := &server{owner: owner, log: log, stopping: ctx.Done()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+mirrorPath, s.mirror)
	mux.HandleFunc("POST "+sweepPath, s.sweep)
	mux.HandleFunc("POST "+removePath, s.remove)
	s.handlePins(mux)
	mux.HandleFunc("POST "+grantsPath, s.grants)
	mux.HandleFunc("POST "+revokePath, s.revoke)
	mux.Handle("POST "+importPath, &importer{owner, ctx, silence})
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: silence, IdleTimeout: silence, MaxHeaderBytes: maxRequest}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving the control socket: %w", err)
	case <-ctx.Done():
	}
	return stop(httpServer, failed)
}

// stop gives the handlers a moment to say that they end.
func stop(httpServer *http.Server, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := httpServer.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = httpServer.Close()
	}
	<-failed //nolint:errcheck // it only says that the server was closed
	return err
}

type server struct {
	owner    Owner
	log      logr.Logger
	stopping <-chan struct{}
}

func (s *server) mirror(w http.ResponseWriter, r *http.Request) {
	var req request
	if ref, ok := readImage(w, r, &req, &req.Image); ok {
		s.run(w, r, func(ctx context.Context, progress func(cache.Progress)) event {
			return outcome(s.owner.Mirror(ctx, ref, req.Platforms, progress))
		})
	}
}

func (s *server) sweep(w http.ResponseWriter, r *http.Request) {
	var req sweepRequest
	if !read(w, r, &req) {
		return
	}
	s.run(w, r, func(ctx context.Context, _ func(cache.Progress)) event {
		report, err := s.owner.Sweep(ctx, req.Grace, req.DryRun)
		if err != nil {
			return event{Failure: newFailure(err)}
		}
		return event{Swept: &report}
	})
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	var req removeRequest
	if ref, ok := readImage(w, r, &req, &req.Image); ok {
		s.run(w, r, func(ctx context.Context, _ func(cache.Progress)) event {
			if err := s.owner.Remove(ctx, ref); err != nil {
				return event{Failure: newFailure(err)}
			}
			return event{Removed: &struct{}{}}
		})
	}
}

// read reads a request, or refuses it.
func read(w http.ResponseWriter, r *http.Request, req any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(req); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// readImage is read for a request about an image.
func readImage(w http.ResponseWriter, r *http.Request, req any, image *string) (imageref.Reference, bool) {
	if !read(w, r, req) {
		return imageref.Reference{}, false
	}
	ref, err := imageref.Parse(*image)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return ref, err == nil
}

func (s *server) run(w http.ResponseWriter, r *http.Request, job func(context.Context, func(cache.Progress)) event) {
	if err := s.follow(newStream(w), r, job); err != nil {
		s.log.V(1).Info("the client of a job went away", "job", r.URL.Path, "reason", err.Error())
	}
}

// follow runs one job for as long as its client is there, and writes how it goes. Its error says that the client is not.
func (s *server) follow(out *stream, r *http.Request, job func(context.Context, func(cache.Progress)) event) error {
	var working sync.WaitGroup
	defer working.Wait() // where the server ends before this, the cache's Close waits for the work (P4)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var latest gauge
	done := make(chan event, 1)
	working.Go(func() { done <- job(ctx, latest.set) })
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case last := <-done:
			return out.write(last)
		case <-s.stopping:
			return out.write(event{Failure: newFailure(errStopping)})
		case <-ticker.C:
			if err := out.report(latest.get()); err != nil {
				return err
			}
		}
	}
}

func outcome(got cache.Mirrored, err error) event {
	if err != nil {
		return event{Failure: newFailure(err)}
	}
	return event{Result: &result{Digest: got.Digest, Size: got.Size, Loaded: got.Loaded, Outcome: got.Outcome}}
}

// gauge keeps the newest progress, so that a slow client never holds up a mirror.
type gauge struct {
	mu  sync.Mutex
	now progress
}

func (g *gauge) set(p cache.Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = progress{Done: p.Done, Total: p.Total}
}

func (g *gauge) get() progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// stream writes events to one client.
type stream struct {
	control *http.ResponseController
	encoder *json.Encoder
	last    progress
	written time.Time
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &stream{control: http.NewResponseController(w), encoder: json.NewEncoder(w), written: time.Now()}
}

// report writes progress where there is some, or where the client has heard nothing for long.
func (s *stream) report(p progress) error {
	if p == s.last && time.Since(s.written) < aliveEvery {
		return nil
	}
	s.last = p
	return s.write(event{Progress: &p})
}

func (s *stream) write(e event) error {
	s.written = time.Now()
	return errors.Join(
		s.control.SetWriteDeadline(s.written.Add(silence)),
		s.encoder.Encode(e),
		s.control.Flush(),
	)
}

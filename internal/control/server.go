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

// Serve answers clients on listener by mirrors, until ctx ends. Then it tells the clients that still wait, closes
// the listener and returns.
func Serve(ctx context.Context, listener net.Listener, mirrors Mirrorer, log logr.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("POST "+mirrorPath, &server{mirrors: mirrors, log: log, stopping: ctx.Done()})
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: silence, IdleTimeout: silence, MaxHeaderBytes: maxRequest}
	if imports, ok := mirrors.(Importer); ok {
		mux.Handle("POST "+importPath, &importer{imports, ctx})
	}
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
	mirrors  Mirrorer
	log      logr.Logger
	stopping <-chan struct{}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&req); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	ref, err := imageref.Parse(req.Image)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.mirror(newStream(w), r, ref, req.Platforms); err != nil {
		s.log.V(1).Info("the client of a pull went away", "image", ref.String(), "reason", err.Error())
	}
}

// mirror runs one mirror for as long as its client is there, and writes how it goes. Its error says that the client is not.
func (s *server) mirror(out *stream, r *http.Request, ref imageref.Reference, platforms []string) error {
	var mirroring sync.WaitGroup
	defer mirroring.Wait() // the folder is given back only when nothing writes any more (P4)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var latest gauge
	done := make(chan event, 1)
	mirroring.Go(func() {
		got, err := s.mirrors.Mirror(ctx, ref, platforms, latest.set)
		done <- outcome(got, err)
	})
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

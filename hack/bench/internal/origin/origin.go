// Package origin is the registry behind the measured caches, as a process of its own: it serves the files of a content.Folder at a
// set rate, counts the bytes that it sends, and hangs or fails when told to. It takes no pushes and asks for no credentials.
package origin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Mode is how an origin answers.
type Mode struct {
	Rate   int64 // bytes per second of each connection; 0: as fast as it can
	Hang   bool  // take requests and answer none
	Status int   // answer every request with this error; 0: none
}

// Sent is what an origin has sent since it was last told to forget.
type Sent struct {
	Requests int
	Bytes    map[string]int64 // of bodies, by path
}

// Serve serves the files under root at address, and takes orders at control, until ctx ends.
func Serve(ctx context.Context, root, address, control string) error {
	o := &origin{files: files(root), sent: Sent{Bytes: map[string]int64{}}}
	failed := make(chan error, 2)
	for addr, handler := range map[string]http.Handler{address: http.HandlerFunc(o.serve), control: o.orders()} {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", addr, err)
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { failed <- server.Serve(ln) }()
		defer server.Close()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	}
}

type origin struct {
	files files

	mu   sync.Mutex
	mode Mode
	sent Sent
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	mode := o.mode
	o.sent.Requests++
	o.mu.Unlock()
	switch {
	case mode.Hang:
		<-r.Context().Done()
	case mode.Status != 0:
		http.Error(w, http.StatusText(mode.Status), mode.Status)
	case r.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	default:
		o.files.serve(o.counted(w, r, mode.Rate), r)
	}
}

func (o *origin) count(path string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent.Bytes[path] += int64(n)
}

// orders is what a Control talks to.
func (o *origin) orders() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /mode", func(w http.ResponseWriter, r *http.Request) {
		var mode Mode
		if err := json.NewDecoder(r.Body).Decode(&mode); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.mode = mode
	})
	mux.HandleFunc("DELETE /sent", func(http.ResponseWriter, *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sent = Sent{Bytes: map[string]int64{}}
	})
	mux.HandleFunc("GET /sent", func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		_ = json.NewEncoder(w).Encode(o.sent) // the client is gone: nobody is left to tell
	})
	return mux
}

package server

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/token"
	"github.com/prometheus/client_golang/prometheus"
)

// namesFace serves the document of names to larder-proxy, and hands everything else on.
type namesFace struct {
	policies *policy.Current
	holds    func(token string) bool // may be nil
	known    func() bool             // may be nil
	held     prometheus.Gauge
	log      logr.Logger
	next     http.Handler

	mu         sync.Mutex
	made       bool
	generation uint64
	text       []byte // of that generation
	etag       string
	err        error // why there is none
	crowded    bool  // it does not say all
}

func (f *namesFace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != names.Path {
		f.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	switch {
	case !f.admits(r):
		w.Header().Set("Www-Authenticate", `Bearer realm="larder"`)
		httpx.WriteError(w, http.StatusUnauthorized, "UNAUTHORIZED", "no valid token", nil)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		httpx.WriteError(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the names can only be read", nil)
	case f.known != nil && !f.known():
		w.Header().Set("Retry-After", "5") // else a proxy would take this replica for one that goes down
		httpx.WriteError(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the API server has not told the policies yet", nil)
	default:
		f.answer(w, r)
	}
}

func (f *namesFace) admits(r *http.Request) bool {
	return f.holds == nil || f.holds(token.Bearer(r))
}

func (f *namesFace) answer(w http.ResponseWriter, r *http.Request) {
	text, etag, err := f.current()
	if err != nil {
		httpx.RecordOf(w).Error = err.Error()
		httpx.WriteError(w, http.StatusInternalServerError, "UNKNOWN", err.Error(), nil)
		return
	}
	w.Header().Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // a proxy that is gone asks again
}

// current is the document of the policies in force, made once for each generation.
func (f *namesFace) current() (text []byte, etag string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if generation := f.policies.Generation(); !f.made || generation != f.generation {
		f.make()
		f.made, f.generation = true, generation
	}
	return f.text, f.etag, f.err
}

// make makes the document anew. The log is told when it begins not to say all.
func (f *namesFace) make() {
	all := f.policies.Load().Names()
	told, err := all.Fit()
	held := told.Held.Len()
	if f.err = err; err == nil {
		f.text, f.err = told.Encode()
	}
	f.etag = names.ETag(f.text)
	if f.err != nil {
		held = len(all.Repositories)
	}
	f.held.Set(float64(held))
	switch {
	case f.crowded:
	case f.err != nil:
		f.log.Error(f.err, "proxies go on with the names that they know")
	case held > 0:
		f.log.Info("there are more names than proxies can be told; while no replica answers they take no tag of some repositories from an origin",
			"repositories", len(all.Repositories), "held", held)
	}
	f.crowded = held > 0
}

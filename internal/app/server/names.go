package server

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/token"
)

// namesFace serves the document of names to larder-proxy, and hands everything else on.
type namesFace struct {
	policies *policy.Current
	holds    func(token string) bool // may be nil
	known    func() bool             // may be nil
	next     http.Handler

	mu         sync.Mutex
	generation uint64
	text       []byte // of that generation
	etag       string
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
	generation := f.policies.Generation()
	if f.text == nil || generation != f.generation {
		if text, err = f.policies.Load().Names().Encode(); err != nil {
			return nil, "", err
		}
		f.text, f.etag, f.generation = text, names.ETag(text), generation
	}
	return f.text, f.etag, nil
}

package httpx

import (
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/metrics"
)

// Observe counts and times every request of next, and logs each in one line, at info level, when its answer is complete or
// has been broken off. The line holds no query string and no header. The handler fills RecordOf(w).
func Observe(m *metrics.Metrics, log logr.Logger, next http.Handler) http.Handler {
	series := newSeries(m)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp := newResponse(w, r)
		returned := false
		defer func() { // without recover: a panic, such as http.ErrAbortHandler, goes on to the server
			duration := resp.finish(returned)
			series.of(resp, r).observe(resp, duration)
			if log.Enabled() {
				logAccess(log, r, resp, duration, !returned)
			}
			resp.release()
		}()
		next.ServeHTTP(resp, r)
		returned = true
	})
}

// finish completes the record and returns how long the request took.
func (w *response) finish(returned bool) time.Duration {
	if returned {
		w.sent(http.StatusOK) // net/http does so now
	}
	if w.record.Kind == "" {
		w.record.Kind = "other"
	}
	if w.record.Cache == "" {
		w.record.Cache = "none"
	}
	return time.Since(w.start)
}

// maxLoggedPath is how much of a path is logged that names no repository.
const maxLoggedPath = 256

func logAccess(log logr.Logger, r *http.Request, w *response, duration time.Duration, aborted bool) {
	fields := make([]any, 0, 24)
	fields = append(fields, "method", r.Method, "kind", w.record.Kind)
	if w.record.Repository != "" {
		fields = append(fields, "repository", w.record.Repository)
	} else {
		fields = append(fields, "path", r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)])
	}
	if w.record.Reference != "" {
		fields = append(fields, "reference", w.record.Reference)
	}
	fields = append(fields, "status", w.status, "bytes", w.bytes, "duration", duration, "cache", w.record.Cache, "client", r.RemoteAddr)
	if w.record.Error != "" {
		fields = append(fields, "error", w.record.Error)
	}
	if aborted {
		fields = append(fields, "aborted", true)
	}
	log.Info("request", fields...)
}

package httpx

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/larder-dev/larder/internal/metrics"
)

// AccessLog takes the access lines, at info level. logging.Typed is one: logr would box every field.
type AccessLog interface {
	Enabled() bool
	// Info writes one line. The fields are the caller's again when it returns.
	Info(message string, fields []slog.Attr)
}

// Observe counts and times every request of next, and logs each in one line, at info level, when its answer is complete or
// has been broken off. The line holds no query string and no header. The handler fills RecordOf(w).
func Observe(m *metrics.Metrics, log AccessLog, next http.Handler) http.Handler {
	series := newSeries(m)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp := newResponse(w, r)
		returned := false
		defer func() { // without recover: a panic, such as http.ErrAbortHandler, goes on to the server
			duration := resp.finish(returned)
			series.of(resp, r).observe(resp, duration)
			if log.Enabled() {
				log.Info("request", resp.fields(r, duration, !returned))
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

// maxFields is how many fields an access line has at most.
const maxFields = 11

// fields are those of the access line; they are valid until release.
func (w *response) fields(r *http.Request, duration time.Duration, aborted bool) []slog.Attr {
	fields := append(w.line[:0], slog.String("method", r.Method), slog.String("kind", w.record.Kind))
	if w.record.Repository != "" {
		fields = append(fields, slog.String("repository", w.record.Repository))
	} else {
		fields = append(fields, slog.String("path", r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)]))
	}
	if w.record.Reference != "" {
		fields = append(fields, slog.String("reference", w.record.Reference))
	}
	fields = append(fields, slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Duration("duration", duration),
		slog.String("cache", w.record.Cache), slog.String("client", r.RemoteAddr))
	if w.record.Error != "" {
		fields = append(fields, slog.String("error", w.record.Error))
	}
	if aborted {
		fields = append(fields, slog.Bool("aborted", true))
	}
	return fields
}

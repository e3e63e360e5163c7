package origin

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Effect is what a fault does to an answer.
type Effect struct {
	before func(*answer, *Fault) (answered bool) // in place of the handler, or before it
	header func(http.Header)                     // before the header goes out
	stage  func(*answer, *Fault, io.WriteCloser) io.WriteCloser
}

// Hang takes the request and answers nothing until the fault is healed or the client goes.
func Hang() Effect {
	return Effect{before: func(a *answer, f *Fault) bool { return !a.held(f, -1) }}
}

// Delay answers d later, or when the fault is healed.
func Delay(d time.Duration) Effect {
	return Effect{before: func(a *answer, f *Fault) bool { return !a.held(f, d) }}
}

// held reports whether the request is still wanted after the wait.
func (a *answer) held(f *Fault, d time.Duration) bool {
	if f.hold(a.request.Context(), d) != nil {
		a.abort = func() {}
		return false
	}
	return true
}

// Status answers with an error body and a status; header holds names and values in turn ("Retry-After", "3").
func Status(status int, header ...string) Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		for i := 0; i+1 < len(header); i += 2 {
			a.Header().Set(header[i], header[i+1])
		}
		writeError(a, status, "INJECTED", http.StatusText(status))
		return true
	}}
}

// Redirect answers 307 to base with the request's path and query appended: to another origin's URL, for one.
func Redirect(base string) Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		a.Header().Set("Location", strings.TrimSuffix(base, "/")+a.request.URL.RequestURI())
		a.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}}
}

// RedirectTo answers 307 to exactly that URL.
func RedirectTo(url string) Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		a.Header().Set("Location", url)
		a.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}}
}

// RedirectLoop answers 307 to the request's own URL.
func RedirectLoop() Effect { return Redirect("") }

// Reset ends the connection with a RST, without any answer.
func Reset() Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		a.abort = a.reset
		return true
	}}
}

// HTTP10 answers as an HTTP/1.0 server does: that version, no chunks, the connection closed at the end. With NoLength, the
// close is all that ends the body.
func HTTP10() Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		// net/http writes the version of the request that it handed out.
		a.request.Proto, a.request.ProtoMajor, a.request.ProtoMinor = "HTTP/1.0", 1, 0
		a.Header().Set("Connection", "close")
		return false
	}}
}

// IgnoreRange answers a ranged request with the whole and 200.
func IgnoreRange() Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		a.request.Header.Del("Range")
		return false
	}}
}

// Paged answers tag lists in pages of n, with a Link to the next, also where the client did not ask for pages.
func Paged(n int) Effect {
	return Effect{before: func(a *answer, _ *Fault) bool {
		query := a.request.URL.Query()
		query.Set("n", strconv.Itoa(n))
		a.request.URL.RawQuery = query.Encode()
		return false
	}}
}

// WrongDigestHeader answers with a Docker-Content-Digest of something else.
func WrongDigestHeader() Effect {
	return SetHeader("Docker-Content-Digest", digest.FromString("something else").String())
}

// NoDigestHeader answers without Docker-Content-Digest and ETag.
func NoDigestHeader() Effect {
	return Effect{header: func(h http.Header) {
		h.Del("Docker-Content-Digest")
		h.Del("Etag")
	}}
}

// SetHeader sets a field of the answer's header; an empty value removes it.
func SetHeader(name, value string) Effect {
	return Effect{header: func(h http.Header) {
		if h.Del(name); value != "" {
			h.Set(name, value)
		}
	}}
}

// NoLength answers without Content-Length: in chunks or, with HTTP10, until the connection closes.
func NoLength() Effect {
	return Effect{
		header: func(h http.Header) { h.Del("Content-Length") },
		stage: func(a *answer, _ *Fault, next io.WriteCloser) io.WriteCloser {
			return &eager{next: next, a: a}
		},
	}
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client's going is no error here.
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`+"\n", code, message)
}

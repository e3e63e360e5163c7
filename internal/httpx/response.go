package httpx

import (
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Record is what a handler tells Observe about the request that it answers. Kind and Cache are labels of metrics: they
// come from a fixed set of words, never from the request.
type Record struct {
	Kind       string // manifest, blob, tags, referrers, base; empty: other
	Repository string // in its full form; empty where the request names none
	Reference  string // tag or digest; empty where the request names none
	Cache      string // hit, miss, collapsed, revalidated, stale; empty: none
	Error      string // why the answer is not the content; empty: it is
}

// RecordOf returns the record of the request that w answers, for the handler to fill until it returns. Where no Observe
// stands before the handler, what is written there is lost.
func RecordOf(w http.ResponseWriter) *Record {
	for {
		switch inner := w.(type) {
		case *response:
			return &inner.record
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return new(Record)
		}
	}
}

// response watches an answer go out. It keeps the inner writer's io.ReaderFrom, which is the way to sendfile.
type response struct {
	http.ResponseWriter
	record    Record
	head      bool // the request is a HEAD: what is written stays here
	status    int  // 0: nothing is sent
	bytes     int64
	start     time.Time
	firstByte time.Duration
	line      [maxFields]slog.Attr // here since it would escape
}

var responses = sync.Pool{New: func() any { return new(response) }}

func newResponse(w http.ResponseWriter, r *http.Request) *response {
	resp := responses.Get().(*response)
	*resp = response{ResponseWriter: w, head: r.Method == http.MethodHead, start: time.Now()}
	return resp
}

// release gives the response back to the pool; its handler has returned.
func (w *response) release() {
	*w = response{}
	responses.Put(w)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.sent(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.sent(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.count(int64(n))
	return n, err
}

// ReadFrom sends src, by sendfile where the inner writer can.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.sent(http.StatusOK)
	n, err := io.Copy(w.ResponseWriter, src)
	w.count(n)
	return n, err
}

// FlushError is for http.ResponseController: flushing sends the headers.
func (w *response) FlushError() error {
	w.sent(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// sent notes the status of the answer, the first time.
func (w *response) sent(status int) {
	if w.status == 0 {
		w.status = status
		w.firstByte = time.Since(w.start)
	}
}

func (w *response) count(n int64) {
	if !w.head {
		w.bytes += n
	}
}

package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// answer is how the origin answers one request for the blob.
type answer struct {
	status      int             // not 0: this status instead of the blob
	retryAfter  int             // seconds, with status
	body        []byte          // nil: the blob; else these bytes in its place
	size        int64           // not 0: the size that the headers claim
	chunked     bool            // no Content-Length, and no total in Content-Range
	ignoreRange bool            // answers 200 from byte 0
	rate        int             // bytes per second; 0: as fast as it can
	upTo        int             // > 0: the connection breaks after so many bytes of this answer
	stall       bool            // with upTo: it falls silent instead
	headersAt   <-chan struct{} // not nil: the headers wait for it
	restAt      <-chan struct{} // not nil: what lies behind upTo waits for it
	empty       bool            // the connection breaks before the first byte of the body
}

// request is what the origin saw.
type request struct {
	rng  string
	repo string
}

// fakeOrigin is a registry with one blob and a script of answers; the last one repeats.
type fakeOrigin struct {
	*httptest.Server
	blob    []byte
	digest  digest.Digest
	arrived chan struct{} // one token for each request

	mu       sync.Mutex
	script   []answer
	requests []request
	sent     int64
}

func newOrigin(t testing.TB, blob []byte, script ...answer) *fakeOrigin {
	t.Helper()
	if len(script) == 0 {
		script = []answer{{}}
	}
	o := &fakeOrigin{blob: blob, digest: digest.FromBytes(blob), script: script, arrived: make(chan struct{}, 10000)}
	o.Server = httptest.NewServer(http.HandlerFunc(o.handle))
	t.Cleanup(o.Close)
	return o
}

func (o *fakeOrigin) handle(w http.ResponseWriter, r *http.Request) {
	repo, isBlob := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/"+o.digest.String())
	switch {
	case r.URL.Path == "/v2/":
	case isBlob && r.Method == http.MethodHead:
		w.Header().Set("Content-Length", strconv.Itoa(len(o.blob)))
	case isBlob:
		a := o.take(request{rng: r.Header.Get("Range"), repo: repo})
		o.answer(w, r, a)
	default:
		http.NotFound(w, r)
	}
}

func (o *fakeOrigin) take(r request) answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.script[0]
	if len(o.script) > 1 {
		o.script = o.script[1:]
	}
	o.requests = append(o.requests, r)
	o.arrived <- struct{}{}
	return a
}

func (o *fakeOrigin) answer(w http.ResponseWriter, r *http.Request, a answer) {
	if a.headersAt != nil {
		wait(r, a.headersAt)
	}
	if a.status != 0 {
		if a.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter))
		}
		http.Error(w, http.StatusText(a.status), a.status)
		return
	}
	body := a.body
	if body == nil {
		body = o.blob
	}
	start, end := o.headers(w, r, a, body)
	rest := body[start:end]
	switch {
	case a.empty:
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case a.upTo > 0 && a.upTo < len(rest):
		o.send(w, rest[:a.upTo], a.rate)
		switch {
		case a.restAt != nil:
			wait(r, a.restAt)
			o.send(w, rest[a.upTo:], a.rate)
		case a.stall:
			<-r.Context().Done()
		default:
			panic(http.ErrAbortHandler)
		}
	default:
		o.send(w, rest, a.rate)
	}
}

// headers writes the status and headers, and returns which part of the body follows.
func (o *fakeOrigin) headers(w http.ResponseWriter, r *http.Request, a answer, body []byte) (start, end int) {
	total := int64(len(body))
	if a.size != 0 {
		total = a.size
	}
	end = len(body)
	status := http.StatusOK
	if rng, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !a.ignoreRange {
		from, to, _ := strings.Cut(rng, "-")
		start, _ = strconv.Atoi(from)
		if to != "" {
			last, _ := strconv.Atoi(to)
			end = min(end, last+1)
		}
		claimed := strconv.FormatInt(total, 10)
		if a.chunked {
			claimed = "*"
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", start, end-1, claimed))
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !a.chunked {
		w.Header().Set("Content-Length", strconv.FormatInt(total-int64(start)-int64(len(body)-end), 10))
	}
	w.WriteHeader(status)
	http.NewResponseController(w).Flush()
	return start, end
}

// send writes in small pieces, so that a rate is even.
func (o *fakeOrigin) send(w http.ResponseWriter, p []byte, rate int) {
	const piece = 32 << 10
	var pace *time.Ticker
	if rate > 0 {
		pace = time.NewTicker(time.Second * piece / time.Duration(rate))
		defer pace.Stop()
	}
	for len(p) > 0 {
		n, err := w.Write(p[:min(piece, len(p))])
		o.mu.Lock()
		o.sent += int64(n)
		o.mu.Unlock()
		if err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		p = p[n:]
		if pace != nil {
			<-pace.C
		}
	}
}

func wait(r *http.Request, c <-chan struct{}) {
	select {
	case <-c:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// ranges returns the Range headers of the requests so far.
func (o *fakeOrigin) ranges() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, r := range o.requests {
		all = append(all, r.rng)
	}
	return all
}

// traffic returns how many requests there were, and how many bytes of bodies were sent.
func (o *fakeOrigin) traffic() (requests int, sent int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests), o.sent
}

// content returns n bytes that no compression and no repetition hides.
func content(n int, seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256(key[:])).Read(b)
	return b
}

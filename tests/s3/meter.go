package s3

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Meter stands in front of a server and counts what passes, by kind.
type Meter struct {
	Endpoint string

	cut    atomic.Bool
	held   atomic.Bool
	delay  atomic.Pointer[delay]
	mu     sync.Mutex
	counts map[string]int
	more   chan struct{} // closed, and made anew, with each request
}

// NewMeter starts a meter that ends with the test.
func (s *Server) NewMeter(t testing.TB) *Meter {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	m := &Meter{counts: map[string]int{}, more: make(chan struct{})}
	// The Host header is signed: it has to reach the server as it came.
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.count(kindOf(r))
		if m.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		if m.held.Load() {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		m.delay.Load().pass(r)
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m.Endpoint = server.URL
	return m
}

// Cut has every request fail from now on, as a network does that is partitioned.
func (m *Meter) Cut() { m.cut.Store(true) }

// Mend undoes Cut.
func (m *Meter) Mend() { m.cut.Store(false) }

// Hold has every request wait from now on, for as long as its client does.
func (m *Meter) Hold() { m.held.Store(true) }

// Delay has the first request that matches wait until release is called: reached is closed when it has come.
func (m *Meter) Delay(match func(*http.Request) bool) (reached <-chan struct{}, release func()) {
	d := &delay{match: match, reached: make(chan struct{}), released: make(chan struct{})}
	m.delay.Store(d)
	return d.reached, sync.OnceFunc(func() { close(d.released) })
}

type delay struct {
	match             func(*http.Request) bool
	once              sync.Once
	reached, released chan struct{}
}

// pass returns when a request may go on.
func (d *delay) pass(r *http.Request) {
	if d == nil || !d.match(r) {
		return
	}
	d.once.Do(func() {
		close(d.reached)
		select {
		case <-d.released:
		case <-r.Context().Done():
		}
	})
}

// kindOf names a request as S3's price lists do.
func kindOf(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case query.Has("list-type"):
		return "LIST"
	case query.Has("uploads"):
		return "CREATE UPLOAD"
	case query.Has("partNumber"):
		return "PART"
	case query.Has("uploadId") && r.Method == http.MethodPost:
		return "COMPLETE"
	case query.Has("uploadId") && r.Method == http.MethodDelete:
		return "ABORT"
	}
	return r.Method
}

func (m *Meter) count(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[kind]++
	close(m.more)
	m.more = make(chan struct{})
}

// Await returns when n requests of a kind have come since Take.
func (m *Meter) Await(t testing.TB, kind string, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		got, more := m.counts[kind], m.more
		m.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%d requests of kind %s came, want %d", got, kind, n)
		}
	}
}

// Take returns the requests since it was called last, by kind: GET, HEAD, PUT, LIST, CREATE UPLOAD, PART, COMPLETE, ABORT.
func (m *Meter) Take() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := maps.Clone(m.counts)
	clear(m.counts)
	return taken
}

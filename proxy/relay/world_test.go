package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/proxy"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMain(m *testing.M) { leak.Main(m) }

const host = "reg.example"

// world is a node's relay before some replicas and an origin.
type world struct {
	origin   *origin.Origin
	replicas []*registry
	relay    *Handler
	metrics  *metrics.Relay
	url      string
}

// registry is a replica: a real cache behind a front that a test can break.
type registry struct {
	*httptest.Server
	mu    sync.Mutex
	seen  []*http.Request
	front func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func (r *registry) address() string { return r.Listener.Addr().String() }

// behave changes what becomes of requests to the replica.
func (r *registry) behave(front func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.front = front
}

func (r *registry) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.seen...)
}

func (r *registry) serve(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.seen = append(r.seen, req)
		front := r.front
		r.mu.Unlock()
		if front == nil {
			next.ServeHTTP(w, req)
			return
		}
		front(w, req, next)
	}
}

// newWorld starts everything; change may alter the relay's options.
func newWorld(t *testing.T, replicas int, change ...func(*Options)) *world {
	t.Helper()
	w := &world{origin: origin.New(t), metrics: metrics.NewRelay(prometheus.NewRegistry())}
	for range replicas {
		w.replicas = append(w.replicas, newRegistry(t, w.origin))
	}
	o := Options{Replicas: w.known(t), Origin: client(t, w.origin), Metrics: w.metrics, Log: logr.Discard()}
	for _, c := range change {
		c(&o)
	}
	w.relay = New(o)
	t.Cleanup(w.relay.Close)
	ln, err := httpx.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- httpx.Serve(ctx, ln, w.relay, httpx.Options{Log: logr.Discard()}) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	w.url = "http://" + ln.Addr().String()
	return w
}

// known are the replicas as a look at DNS finds them.
func (w *world) known(t *testing.T) *Replicas {
	t.Helper()
	var targets []string
	for _, r := range w.replicas {
		targets = append(targets, r.address())
	}
	lookup := func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	known := NewReplicas(targets, lookup, prometheus.NewGauge(prometheus.GaugeOpts{}), logr.Discard())
	known.Refresh(t.Context())
	return known
}

// owner is the replica that owns a repository, and the others in their order.
func (w *world) owner(t *testing.T, repo string) *registry {
	t.Helper()
	first := w.relay.o.Replicas.ranked(host+"/"+repo, time.Now())[0]
	for _, r := range w.replicas {
		if r.address() == first.address {
			return r
		}
	}
	t.Fatal("the owner is no replica")
	return nil
}

func client(t *testing.T, from *origin.Origin) *upstream.Client {
	t.Helper()
	c, err := upstream.New(upstream.Options{
		Registries: []upstream.Registry{{Host: host, Endpoints: []string{from.URL()}}}, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newRegistry(t *testing.T, from *origin.Origin) *registry {
	t.Helper()
	log, m := logr.Discard(), metrics.New(prometheus.NewRegistry())
	s, err := store.Open(t.Context(), store.Options{Data: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c := cache.New(cache.Options{Store: s, Origin: client(t, from), Policies: unchecked{}, Metrics: m, Log: log})
	t.Cleanup(c.Close)
	r := &registry{}
	r.Server = httptest.NewServer(r.serve(proxy.New(c, proxy.Options{Log: log})))
	t.Cleanup(r.Close)
	return r
}

// unchecked are policies under which no tag is checked.
type unchecked struct{}

func (unchecked) Policy(imageref.Repository, string) cache.Policy { return cache.Policy{} }
func (unchecked) Listing(imageref.Repository) time.Duration       { return time.Hour }
func (unchecked) Named(imageref.Repository, string) bool          { return false }
func (unchecked) Periodic() []imageref.Repository                 { return nil }
func (unchecked) Generation() uint64                              { return 0 }

// reply is an answer with its whole body.
type reply struct {
	*http.Response
	body []byte
	err  error // of reading the body
}

// get asks the relay; names and values of header fields come in turn.
func (w *world) get(t *testing.T, method, path string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, body, err}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// cut answers with the first n bytes of a body and then breaks the connection.
func cut(n int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutter{ResponseWriter: w, left: n}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 && err == nil {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		err = errors.New("cut")
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

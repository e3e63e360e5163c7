package events

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/tests/port"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// receiver is a sink: the CloudEvents SDK's own receiver, behind what fails as a test likes.
type receiver struct {
	server *httptest.Server
	fail   atomic.Pointer[func(n int) int] // the status of the nth request in its place; 0: the SDK's answer

	mu       sync.Mutex
	asked    int
	received []event.Event
}

func newReceiver(t *testing.T, start func(http.Handler) *httptest.Server) *receiver {
	t.Helper()
	r := &receiver{}
	protocol, err := cehttp.New()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := client.NewHTTPReceiveHandler(t.Context(), protocol, func(_ context.Context, e event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.received = append(r.received, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = start(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.asked++
		n := r.asked
		r.mu.Unlock()
		if fail := r.fail.Load(); fail != nil {
			if status := (*fail)(n); status != 0 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				return
			}
		}
		inner.ServeHTTP(w, req)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) all() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.received)
}

// ids waits for n events, and returns their ids.
func (r *receiver) ids(t *testing.T, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(patience); len(r.all()) < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d events came, want %d", len(r.all()), n)
		}
		<-time.After(5 * time.Millisecond)
	}
	ids := make([]string, 0, n)
	for _, e := range r.all() {
		ids = append(ids, e.ID())
	}
	return ids
}

// sinkOf returns a sink at a URL.
func sinkOf(t *testing.T, text, caFile string) *Sink {
	t.Helper()
	u, err := ParseSink(text)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := NewSink(u, caFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.client.CloseIdleConnections)
	return sink
}

// run starts to send, until stop is called or the test ends.
func run(t *testing.T, teller *Teller) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { teller.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func newTeller(t *testing.T, o Options) *Teller {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Source, o.Metrics = "/larder/test", metrics.NewEvents(prometheus.NewRegistry())
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	teller, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	teller.retry = time.Millisecond
	return teller
}

// logged returns a logger, and what it was told.
func logged() (logr.Logger, func() []string) {
	var mu sync.Mutex
	var lines []string
	log := funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, prefix+args)
	}, funcr.Options{})
	return log, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(lines)
	}
}

// urlOf is the address of a sink at a port.
func urlOf(p *port.Port) string { return "http://" + p.String() }

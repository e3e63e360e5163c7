package httpx

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// series finds the metrics of a request by its labels. The few combinations that occur are kept in a map that is copied to be
// changed: the lookups of prometheus, four a request, would cost as much as the rest of Observe.
type series struct {
	metrics *metrics.Metrics
	known   atomic.Pointer[map[labels]*counters]
	adding  sync.Mutex
}

type labels struct {
	kind, method, cache string
	status              int
}

type counters struct {
	requests  prometheus.Counter
	bytes     prometheus.Counter
	duration  prometheus.Observer
	firstByte prometheus.Observer
}

func newSeries(m *metrics.Metrics) *series {
	s := &series{metrics: m}
	s.known.Store(new(map[labels]*counters))
	return s
}

func (s *series) of(w *response, r *http.Request) *counters {
	key := labels{kind: w.record.Kind, method: methodLabel(r.Method), cache: w.record.Cache, status: w.status}
	if c := (*s.known.Load())[key]; c != nil {
		return c
	}
	return s.add(key)
}

func (s *series) add(key labels) *counters {
	s.adding.Lock()
	defer s.adding.Unlock()
	c := &counters{
		requests:  s.metrics.Requests.WithLabelValues(key.kind, key.method, strconv.Itoa(key.status), key.cache),
		bytes:     s.metrics.ClientBytes.WithLabelValues(key.kind),
		duration:  s.metrics.RequestDuration.WithLabelValues(key.kind, key.cache),
		firstByte: s.metrics.FirstByte.WithLabelValues(key.kind, key.cache),
	}
	grown := maps.Clone(*s.known.Load())
	if grown == nil {
		grown = make(map[labels]*counters)
	}
	grown[key] = c
	s.known.Store(&grown)
	return c
}

func (c *counters) observe(w *response, duration time.Duration) {
	c.requests.Inc()
	c.bytes.Add(float64(w.bytes))
	c.duration.Observe(duration.Seconds())
	if w.status != 0 {
		c.firstByte.Observe(w.firstByte.Seconds())
	}
}

// methodLabel keeps what a client may make up out of the labels.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

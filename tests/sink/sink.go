// Package sink receives CloudEvents for tests of whole processes, by the CloudEvents SDK's own receiver.
package sink

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/larder-dev/larder/tests/process"
)

// Sink receives events by the CloudEvents SDK, unless it is down.
type Sink struct {
	*httptest.Server
	Down  atomic.Bool  // it answers 503
	Asked atomic.Int64 // requests

	mu  sync.Mutex
	got []event.Event
}

// New returns a sink that ends with the test.
func New(t testing.TB) *Sink {
	t.Helper()
	s := &Sink{}
	protocol, err := cehttp.New()
	if err != nil {
		t.Fatal(err)
	}
	handler, err := client.NewHTTPReceiveHandler(t.Context(), protocol, func(_ context.Context, e event.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Asked.Add(1)
		if s.Down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// Heard lists the kinds of the events about an image, in their order, each ID once: at least once is what is promised. That a tag is stale
// while its new revision comes in is told where that takes long enough to be seen.
func (s *Sink) Heard(image string) (kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range s.got {
		kind := kindOf(e.Type())
		if e.Subject() == image && !seen[e.ID()] && kind != "stale" {
			seen[e.ID()] = true
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Hears waits for the kinds of the events about an image.
func (s *Sink) Hears(t testing.TB, image string, want ...string) {
	t.Helper()
	process.Eventually(t, "the sink to hear "+strings.Join(want, ", "), func() bool { return len(s.Heard(image)) >= len(want) })
	if got := s.Heard(image); !slices.Equal(got, want) {
		t.Fatalf("the sink heard %v, want %v", got, want)
	}
}

// Await waits for an event of a kind about an image whose data has some values, and returns it.
func (s *Sink) Await(t testing.TB, image, kind string, want map[string]string) (found event.Event) {
	t.Helper()
	process.Eventually(t, fmt.Sprintf("the sink to hear %s of %s with %v", kind, image, want), func() bool {
		for _, e := range s.All() {
			if e.Type() == typeOf(kind) && e.Subject() == image && has(t, e, want) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

func has(t testing.TB, e event.Event, want map[string]string) bool {
	t.Helper()
	var data map[string]any
	if err := e.DataAs(&data); err != nil {
		t.Fatalf("%s has no data: %v", e.ID(), err)
	}
	for key, value := range want {
		if data[key] != value {
			return false
		}
	}
	return true
}

// All lists what was received, in its order.
func (s *Sink) All() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

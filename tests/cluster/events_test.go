package cluster

import (
	"context"
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
	eventsv1 "k8s.io/api/events/v1"
	runtime "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// sink receives events by the CloudEvents SDK, unless it is down.
type sink struct {
	*httptest.Server
	down  atomic.Bool
	asked atomic.Int64

	mu  sync.Mutex
	got []event.Event
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
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
		s.asked.Add(1)
		if s.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// heard lists the kinds of the events about an image, in their order, each ID once: at least once is what is promised. That a tag is stale
// while its new revision comes in is told where that takes long enough to be seen.
func (s *sink) heard(image string) (kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range s.got {
		kind := strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.larder.image."), ".v1")
		if e.Subject() == image && !seen[e.ID()] && kind != "stale" {
			seen[e.ID()] = true
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func (s *sink) hears(t *testing.T, image string, want ...string) {
	t.Helper()
	process.Eventually(t, "the sink to hear "+strings.Join(want, ", "), func() bool { return len(s.heard(image)) >= len(want) })
	if got := s.heard(image); !slices.Equal(got, want) {
		t.Fatalf("the sink heard %v, want %v", got, want)
	}
}

func TestEvents_AreHeardAtLeastOnceInTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	to := newSink(t)
	larder, controller := w.newRegistry(t, o, "--events-sink", to.URL+"/in?key=hunter2"), w.newController(t)
	larder.Start(t)
	controller.Start(t)
	w.pod(t, "app", []string{app})
	found := w.awaitReady(t, app)
	to.hears(t, app, "discovered", "mirrored")

	_, metrics := larder.GetHealth(t, "/metrics")
	for _, want := range []string{`larder_image_changes_total{change="discovered"} 1`, "larder_events_sent_total "} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}

	to.down.Store(true)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	before := found.Status.Digest
	refresh(t, w, found, "1")
	process.Eventually(t, "the move to be in the status", func() bool {
		found = w.image(t, app)
		return found.Status.Digest != before && found.Status.Phase == v1alpha1.CachedImageReady
	})
	asked := to.asked.Load()
	process.Eventually(t, "the sink to refuse it", func() bool { return to.asked.Load() > asked })
	larder.Kill() // between the change and its delivery
	to.down.Store(false)
	larder.Start(t)
	to.hears(t, app, "discovered", "mirrored", "moved", "mirrored")
	if said := larder.Said(); strings.Contains(said, "hunter2") {
		t.Errorf("the log shows the sink's key:\n%s", said)
	}
	if e := to.got[0]; e.Source() != "/larder/"+namespace {
		t.Errorf("the source is %s", e.Source())
	}
	reasons := w.reasons(t, found.Name)
	for _, want := range []string{"Discovered", "Mirrored", "TagMoved"} {
		if !slices.Contains(reasons, want) {
			t.Errorf("the events of the object are %v: %s is missing", reasons, want)
		}
	}
}

// refresh asks for a check of an image.
func refresh(t *testing.T, w *world, image *v1alpha1.CachedImage, value string) {
	t.Helper()
	patch := `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRefresh + `":"` + value + `"}}}`
	if err := w.Patch(t.Context(), image.DeepCopy(), runtime.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// reasons lists the events of an object.
func (w *world) reasons(t *testing.T, name string) (reasons []string) {
	t.Helper()
	var list eventsv1.EventList
	if err := w.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Regarding.Name == name {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

package mirror_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/sink"
)

// teller sends CloudEvents to a sink until the test ends.
func teller(t *testing.T, to *sink.Sink) *events.Teller {
	t.Helper()
	u, err := events.ParseSink(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	through, err := events.NewSink(u, "")
	if err != nil {
		t.Fatal(err)
	}
	teller, err := events.New(events.Options{
		Sink: through, Source: "/larder/test", Dir: t.TempDir(), Metrics: metrics.NewEvents(prometheus.NewRegistry()), Log: testr.New(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { teller.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return teller
}

// Each type of event that the documentation has is received by a sink, and is an event of the object.
func TestChanges_EachDocumentedTypeReachesASink(t *testing.T) {
	t.Parallel()
	to := sink.New(t)
	r := newRig(t)
	r.options.Changes = teller(t, to)
	r.start()
	const image = host + "/app:1"
	documented := sink.Documented(t, "../../docs/events.md")
	var object *v1alpha1.CachedImage
	told := func(kind string, data map[string]string) {
		t.Helper()
		to.Await(t, image, kind, data)
		if documented[kind] == "" {
			t.Errorf("%s is not documented", kind)
		}
		r.told(object, documented[kind])
		delete(documented, kind)
	}

	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object = r.ready(r.image("app", "app:1", v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
	told("discovered", map[string]string{"image": image})
	told("mirrored", map[string]string{"digest": first.String()})
	second := r.moved(object)
	told("moved", map[string]string{"digest": second.String(), "previousDigest": first.String()})

	r.pin(object, first)
	told("pinned", map[string]string{"digest": first.String(), "previousDigest": second.String()})
	to.Await(t, image, "stale", map[string]string{"reason": v1alpha1.ReasonPinned, "upstreamDigest": second.String()})
	r.pin(object, "")
	told("unpinned", map[string]string{"digest": second.String(), "previousDigest": first.String()})

	down := r.origin.Fail(origin.Manifests(), origin.Status(http.StatusInternalServerError))
	r.refresh(object, "down")
	told("stale", map[string]string{"digest": second.String(), "reason": v1alpha1.ReasonOriginFailed})
	down.Heal()
	r.refresh(object, "up")
	told("current", map[string]string{"digest": second.String()})
	gone := r.origin.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	r.refresh(object, "gone")
	told("gone", map[string]string{"digest": second.String(), "reason": v1alpha1.ReasonNotFound})
	gone.Heal()
	r.refresh(object, "back")
	told("back", map[string]string{"digest": second.String()})

	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", ImmutableTags: []string{":1$"}})
	third := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	r.refresh(object, "held")
	told("held", map[string]string{"digest": second.String(), "upstreamDigest": third.String()})

	r.expire(object, new(metav1.NewTime(time.Now().Add(24*time.Hour))))
	r.evict()
	told("evicted", map[string]string{"digest": second.String(), "reason": "OverLimit"})
	if len(documented) > 0 {
		t.Errorf("no test receives %v", documented)
	}
}

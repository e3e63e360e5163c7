package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtime "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/larder-dev/larder/tests/sink"
)

func TestEvents_AreHeardAtLeastOnceInTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	to := sink.New(t)
	larder, controller := w.newRegistry(t, o, "--events-sink", to.URL+"/in?key=hunter2"), w.newController(t)
	larder.Start(t)
	controller.Start(t)
	w.pod(t, "app", []string{app})
	found := w.awaitReady(t, app)
	to.Hears(t, app, "discovered", "mirrored")

	_, metrics := larder.GetHealth(t, "/metrics")
	for _, want := range []string{`larder_image_changes_total{change="discovered"} 1`, "larder_events_sent_total "} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}

	to.Down.Store(true)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	before := found.Status.Digest
	refresh(t, w, found, "1")
	process.Eventually(t, "the move to be in the status", func() bool {
		found = w.image(t, app)
		return found.Status.Digest != before && found.Status.Phase == v1alpha1.CachedImageReady
	})
	asked := to.Asked.Load()
	process.Eventually(t, "the sink to refuse it", func() bool { return to.Asked.Load() > asked })
	larder.Kill() // between the change and its delivery
	to.Down.Store(false)
	larder.Start(t)
	to.Hears(t, app, "discovered", "mirrored", "moved", "mirrored")
	if said := larder.Said(); strings.Contains(said, "hunter2") {
		t.Errorf("the log shows the sink's key:\n%s", said)
	}
	if e := to.All()[0]; e.Source() != "/larder/"+namespace {
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

// That its store is full a registry says on its own pod, whose namespace is Larder's.
func TestEvents_ARegistryMayTellOfItsPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace, Name: "full"},
		EventTime:           metav1.NowMicro(),
		ReportingController: "larder-registry", ReportingInstance: "larder-registry-0", Action: "Evict", Reason: "StoreOverLimit", Type: "Warning",
		Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "larder-registry-0"},
	}
	if err := w.as(t, registry).Create(t.Context(), event); err != nil {
		t.Error(err)
	}
}

package cluster

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

var alice = origin.User{Name: "alice", Password: "wonderland"}

const (
	app     = process.Host + "/team/app:v1"
	private = "/v2/" + process.Host + "/team/app/manifests/v1"
)

func TestLife_APodBringsItsPrivateImageIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t, origin.WithTokens(alice))
	pushed := o.Push(t, "team/app:v1", origin.RandomImage(2, 64<<10))
	larder, controller := w.newRegistry(t, o), w.newController(t)
	larder.Start(t)
	controller.Start(t)
	w.pullSecret(t, "hub", alice)
	pod := w.pod(t, "app", []string{app}, "hub")

	found := w.awaitReady(t, app)
	if found.Status.Digest != pushed.Digest.String() {
		t.Errorf("its status names %s, want %s", found.Status.Digest, pushed.Digest)
	}
	process.Eventually(t, "the status to name the pod", func() bool {
		found := w.image(t, app)
		return found.Status.UsedBy != nil && found.Status.UsedBy.Count == 1
	})
	process.Eventually(t, "the Repository to be Ready", func() bool {
		var list v1alpha1.RepositoryList
		if err := w.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == 1 && list.Items[0].Status.Phase == v1alpha1.RepositoryReady && ptr.Deref(list.Items[0].Status.Images, 0) == 1
	})
	process.Eventually(t, "an event of the image", func() bool {
		var list eventsv1.EventList
		if err := w.List(t.Context(), &list, client.InNamespace("default")); err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			if event.Regarding.Name == found.Name {
				return true
			}
		}
		return false
	})
	o.Refuse()
	if got, _ := larder.Get(t, http.MethodGet, private); got.StatusCode != http.StatusOK {
		t.Errorf("a pull while the origin is down: %d, want 200", got.StatusCode)
	}

	if err := w.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	process.Eventually(t, "the deleted CachedImage to go", func() bool { return w.image(t, app) == nil })

	for _, l := range []*process.Larder{larder, controller} {
		_, metrics := l.GetHealth(t, "/metrics")
		for _, want := range []string{"controller_runtime_reconcile_total", "go_goroutines", "process_resident_memory_bytes"} {
			if !strings.Contains(string(metrics), want) {
				t.Errorf("/metrics lacks %s", want)
			}
		}
		if err := l.Signal(t, syscall.SIGTERM); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}

func TestLife_A3_TheFirstPullFindsThePodsSecretsWithoutAnyObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := origin.User{Name: "bob", Password: "builder", Pulls: []string{"other/app"}}
	o := origin.New(t, origin.WithTokens(alice, bob))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	o.Push(t, "other/app:v1", origin.RandomImage(1, 4<<10))
	w.pullSecret(t, "revoked", origin.User{Name: "alice", Password: "of old"})
	w.pullSecret(t, "others", bob)
	w.pullSecret(t, "hub", alice)
	w.pod(t, "app", []string{app}, "missing", "revoked", "others", "hub")
	larder := w.newRegistry(t, o)
	larder.Start(t)
	if got, body := larder.Get(t, http.MethodGet, private); got.StatusCode != http.StatusOK {
		t.Errorf("the first pull: %d %s, want 200", got.StatusCode, body)
	}

	const other = "/v2/" + process.Host + "/other/app/manifests/v1"
	if got, body := larder.Get(t, http.MethodGet, other); got.StatusCode != http.StatusForbidden {
		t.Errorf("a pull of what no pod uses: %d %s, want 403", got.StatusCode, body)
	}
	refused := time.Now()
	w.pod(t, "other", []string{process.Host + "/other/app:v1"}, "others")
	process.Eventually(t, "the pod's secret to count", func() bool {
		got, _ := larder.Get(t, http.MethodGet, other)
		return got.StatusCode == http.StatusOK
	})
	if took := time.Since(refused); took > 25*time.Second { // a denial stands for thirty
		t.Errorf("the refusal of before there was a secret lasted %v", took)
	}

	var images v1alpha1.CachedImageList
	if err := w.List(t.Context(), &images); err != nil || len(images.Items) > 0 {
		t.Errorf("there are %d CachedImages (%v), want none: no controller runs", len(images.Items), err)
	}
}

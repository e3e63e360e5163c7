package cachedimage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
)

const month = 720 * time.Hour

func TestImage_LivesFromItsFirstPodToItsExpiry(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
	nginx := create(t, image(t, "nginx:1.27"))
	never := shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	if at := never.Spec.ExpiresAt; !at.Time.Equal(clock.Now().Add(month)) {
		t.Errorf("an image that was never used expires at %v, want a month after it was seen", at)
	}

	web := create(t, pod("web", "nginx:1.27"))
	used := shows(t, nginx, v1alpha1.ReasonPods, "1 pod uses it", false)
	want := &v1alpha1.UsedBy{Count: 1, Pods: []v1alpha1.PodReference{{NamespacedName: "default/web"}}}
	if diff := cmp.Diff(want, used.Status.UsedBy); diff != "" {
		t.Errorf("usedBy (-want +got):\n%s", diff)
	}
	create(t, pod("job", "nginx:1.27"))
	shows(t, nginx, v1alpha1.ReasonPods, "2 pods use it", false)

	clock.advance(month)
	remove(t, web)
	finish(t, "job")
	unused := shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	if at := unused.Spec.ExpiresAt; !at.Time.Equal(clock.Now().Add(month)) {
		t.Errorf("expires at %v, want a month after the last use", at)
	}
	if used := unused.Status.UsedBy; used == nil || used.Count != 0 || len(used.Pods) != 0 {
		t.Errorf("usedBy of an unused image: %+v", used)
	}
	for _, entry := range unused.ManagedFields {
		if strings.Contains(entry.FieldsV1.GetRawString(), "expiresAt") && entry.Manager != string(status.Controller) {
			t.Errorf("%s owns expiresAt", entry.Manager)
		}
	}

	clock.advance(month + defaultGrace - time.Second)
	if result, err := p.expire(t.Context()); err != nil || result.RequeueAfter != time.Second {
		t.Errorf("a second before the grace ends: %v, %v; want to be back in a second", result, err)
	}
	if get(t, nginx) == nil {
		t.Fatal("deleted before the grace was over")
	}
	clock.advance(time.Second)
	annotate(t, nginx, "due")
	gone(t, nginx)
}

// finish ends a pod as a kubelet does.
func finish(t *testing.T, name string) {
	t.Helper()
	object := pod(name, "nginx")
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"phase":"Succeeded"}}`))
	if err := cluster.Status().Patch(t.Context(), object, patch); err != nil {
		t.Fatal(err)
	}
}

// TestImage_ExpiresByTheWallClock needs no hand on the clock: every timer is the reconciler's own.
func TestImage_ExpiresByTheWallClock(t *testing.T) {
	start(t, setup{options: Options{ExpiryDelay: time.Second, Grace: time.Second}})
	used, unused := create(t, image(t, "used:1")), image(t, "unused:1")
	create(t, pod("a", "used:1"))
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
	create(t, unused)
	gone(t, unused)
	if get(t, used) == nil {
		t.Error("an image in use was deleted")
	}
}

func TestImage_RetainedDoesNotExpire(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
	const kept = "nothing uses it, but spec.retain keeps it"
	nginx := create(t, image(t, "nginx:1.27", func(i *v1alpha1.CachedImage) {
		i.Spec.Retain = true
		i.Spec.ExpiresAt = new(metav1.NewTime(clock.Now().Add(-month)))
	}))
	mustExpire(t, p)
	shows(t, nginx, v1alpha1.ReasonRetained, kept, false)
	a := create(t, pod("a", "nginx:1.27"))
	shows(t, nginx, v1alpha1.ReasonPods, "1 pod uses it", false)
	remove(t, a)
	shows(t, nginx, v1alpha1.ReasonRetained, kept, false)

	now := get(t, nginx)
	now.Spec.Retain = false
	if err := cluster.Update(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
}

func TestImage_PinnedDoesNotExpire(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
	nginx := create(t, image(t, "nginx:1.27", func(i *v1alpha1.CachedImage) {
		i.Spec.PinnedDigest = "sha256:" + strings.Repeat("0", 64)
		i.Spec.ExpiresAt = new(metav1.NewTime(clock.Now().Add(-month)))
	}))
	mustExpire(t, p)
	shows(t, nginx, v1alpha1.ReasonRetained, "nothing uses it, but spec.pinnedDigest keeps it", false)
	now := get(t, nginx)
	now.Spec.PinnedDigest = ""
	if err := cluster.Update(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
}

func TestImage_KeepsThePersonsExpiryWhileUnused(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
	tomorrow := clock.Now().Add(24 * time.Hour)
	at := func(i *v1alpha1.CachedImage) { i.Spec.ExpiresAt = new(metav1.NewTime(tomorrow)) }
	unused, used := create(t, image(t, "unused:1", at)), image(t, "used:1", at)
	create(t, pod("a", "used:1"))
	create(t, used)
	if now := shows(t, unused, v1alpha1.ReasonUnused, "nothing uses it", true); !now.Spec.ExpiresAt.Time.Equal(tomorrow) {
		t.Errorf("expires at %v, want what the person wrote", now.Spec.ExpiresAt)
	}
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
	clock.advance(24*time.Hour + defaultGrace)
	mustExpire(t, p)
	gone(t, unused)
	if get(t, used) == nil {
		t.Error("the image in use is gone")
	}
}

func TestImage_NeverExpiresWithoutADelay(t *testing.T) {
	clock := newClock()
	start(t, setup{options: Options{Now: clock.Now}})
	nginx := create(t, image(t, "nginx:1.27", func(i *v1alpha1.CachedImage) {
		i.Spec.ExpiresAt = new(metav1.NewTime(clock.Now().Add(-month)))
	}))
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", false)
}

// TestImage_FollowsAPodThatChangesItsImage sees both images: the one that is left and the one that is taken.
func TestImage_FollowsAPodThatChangesItsImage(t *testing.T) {
	start(t, setup{options: Options{ExpiryDelay: month}})
	before, after := create(t, image(t, "app:1")), create(t, image(t, "app:2"))
	a := create(t, pod("a", "app:1"))
	shows(t, before, v1alpha1.ReasonPods, "1 pod uses it", false)
	shows(t, after, v1alpha1.ReasonUnused, "nothing uses it", true)
	a.Spec.Containers[0].Image = podSpec("app:2").Containers[0].Image
	if err := cluster.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	shows(t, before, v1alpha1.ReasonUnused, "nothing uses it", true)
	shows(t, after, v1alpha1.ReasonPods, "1 pod uses it", false)
}

// TestImage_CountsWhileItIsDeleted holds the object by a finalizer, as the registry does.
func TestImage_CountsWhileItIsDeleted(t *testing.T) {
	start(t, setup{options: Options{ExpiryDelay: month}})
	nginx := create(t, image(t, "nginx:1.27", func(i *v1alpha1.CachedImage) { i.Finalizers = []string{v1alpha1.FinalizerUntag} }))
	before := shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	remove(t, nginx)
	create(t, pod("a", "nginx:1.27"))
	now := shows(t, nginx, v1alpha1.ReasonPods, "1 pod uses it", true)
	if !now.Spec.ExpiresAt.Equal(before.Spec.ExpiresAt) {
		t.Errorf("expiresAt of an object that is being deleted went from %v to %v", before.Spec.ExpiresAt, now.Spec.ExpiresAt)
	}
}

func TestImage_WorkloadsKeepItWhereAskedTo(t *testing.T) {
	clock := newClock()
	sources := []string{"cron:1", "scaled:1", "old:1"}
	objects := func(t *testing.T) (cron client.Object, images []*v1alpha1.CachedImage) {
		cron = create(t, cronJob("nightly", sources[0]))
		create(t, deployment("web", sources[1]))
		create(t, replicaSet("web-1", sources[2]))
		create(t, replicaSet("web-2", sources[2]))
		for _, source := range sources {
			images = append(images, create(t, image(t, source)))
		}
		return cron, images
	}
	t.Run("On", func(t *testing.T) {
		p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now, Workloads: true}})
		cron, images := objects(t)
		shows(t, images[0], v1alpha1.ReasonWorkloads, "kept by CronJob default/nightly", false)
		shows(t, images[1], v1alpha1.ReasonWorkloads, "kept by Deployment default/web", false)
		shows(t, images[2], v1alpha1.ReasonWorkloads, "kept by ReplicaSet default/web-1 and 1 more", false)
		create(t, pod("a", sources[1]))
		shows(t, images[1], v1alpha1.ReasonPods, "1 pod uses it", false)
		remove(t, cron)
		shows(t, images[0], v1alpha1.ReasonUnused, "nothing uses it", true)
		clock.advance(month + defaultGrace)
		mustExpire(t, p)
		gone(t, images[0])
		for _, image := range images[1:] {
			if get(t, image) == nil {
				t.Errorf("%s is kept by a workload, but gone", image.Name)
			}
		}
	})
	t.Run("Off", func(t *testing.T) {
		start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
		_, images := objects(t)
		for _, image := range images {
			shows(t, image, v1alpha1.ReasonUnused, "nothing uses it", true)
		}
	})
}

// TestImage_CoversAllThatAPodRuns uses one image each by a container, an init container and an image volume.
func TestImage_CoversAllThatAPodRuns(t *testing.T) {
	start(t, setup{options: Options{ExpiryDelay: month}})
	var images []*v1alpha1.CachedImage
	sources := []string{"main:1", "init:1", "reg.example:5000/volume@sha256:" + strings.Repeat("a", 64)}
	for _, source := range sources {
		images = append(images, create(t, image(t, source)))
	}
	a := pod("a", sources[0])
	a.Spec.InitContainers = []corev1.Container{{Name: "init", Image: podSpec(sources[1]).Containers[0].Image}}
	a.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{
		Reference: podSpec(sources[2]).Containers[0].Image,
	}}}}
	create(t, a)
	for _, image := range images {
		shows(t, image, v1alpha1.ReasonPods, "1 pod uses it", false)
	}
}

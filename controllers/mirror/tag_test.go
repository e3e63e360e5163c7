package mirror_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/origin"
)

func TestRefresh_AnAnnotationChecksNow(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.refresh(object, "1")
	r.eventually(object, "the new revision", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == img.Digest.String() && object.Status.Phase == v1alpha1.CachedImageReady
	})
	r.told(object, "Refreshed")
	r.told(object, "TagMoved")
	r.origin.Forget()
	r.stop()
	r.start()
	r.origin.Push(t, "later:1", origin.RandomImage(1, 4<<10))
	r.ready(r.image("later", "later:1"))
	if n := r.origin.Count(origin.Manifests().In("app")); n != 0 {
		t.Errorf("%d checks for a value that was handled before the restart", n)
	}
}

func TestTagChanged_T5_TheStatusFollowsAPull(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", UpdateInterval: "0s"})
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	slow := r.origin.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), origin.Hang())
	if _, _, err := r.cache.ResolveManifest(t.Context(), reference(host+"/app:1").Repository, "1"); err != nil {
		t.Fatal(err)
	}
	stale := r.eventually(object, "stale", inPhase(v1alpha1.CachedImageStale))
	if s := stale.Status; s.UpstreamDigest != img.Digest.String() || *s.UpToDate || is(stale, "UpToDate") != "False Moved" || is(stale, "Ready") != "True Mirrored" {
		t.Errorf("status %+v", s)
	}
	slow.Heal()
	object = r.ready(object)
	if object.Status.Digest != img.Digest.String() {
		t.Errorf("digest %s, want %s", object.Status.Digest, img.Digest)
	}
}

func TestReconcile_T5_ARevisionThatARestartCutOffIsBroughtIn(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	hang := r.origin.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), origin.Hang())
	r.refresh(object, "1")
	hang.Await(t, 1)
	r.eventually(object, "stale", inPhase(v1alpha1.CachedImageStale))
	r.stop()
	hang.Heal()
	r.ahead = 2 * time.Minute
	r.start()
	r.eventually(object, "the new revision", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == img.Digest.String() && object.Status.Phase == v1alpha1.CachedImageReady
	})
}

func TestTagChanged_T8_TheStatusFollowsAPeriodicCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", UpdateInterval: "1m", UpdateMode: v1alpha1.UpdatePeriodic})
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.stop()
	r.ahead = 2 * time.Minute
	r.start()
	r.cache.CheckPeriodic(t.Context())
	r.eventually(object, "the new revision", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == img.Digest.String() && object.Status.Phase == v1alpha1.CachedImageReady
	})
}

func TestRemove_M4_UntagsUnlessAPodOrAnotherObjectUsesIt(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	ref := reference(host + "/app:1")
	removed := func(object *v1alpha1.CachedImage) (untagged bool) {
		t.Helper()
		r.must(cluster.Delete(t.Context(), object))
		r.gone(object)
		img, err := r.cache.Image(t.Context(), ref, nil)
		r.must(err)
		return img.Untagged
	}
	users := func(n int) {
		t.Helper()
		r.until(func() string { return "the registry to see how many pods use it" }, func() bool {
			pods, err := usage.PodsUsing(t.Context(), r.client, ref)
			return err == nil && len(pods) == n
		})
	}
	one, two := r.ready(r.image("one", "app:1")), r.ready(r.image("two", "reg.example/app:1"))
	if removed(one) {
		t.Error("untagged, although another object names it")
	}
	pod := r.pod("user", ref.String())
	users(1)
	if removed(two) {
		t.Error("untagged, although a pod uses it")
	}
	three := r.ready(r.image("three", "app:1"))
	pod.Status.Phase = corev1.PodSucceeded
	r.must(cluster.Status().Update(t.Context(), pod))
	users(0)
	if !removed(three) {
		t.Error("not untagged, although nothing uses it")
	}
	r.told(three, "Untagged")
}

func TestRemove_EndsTheMirrorThatRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	hang := r.origin.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), origin.Hang())
	object := r.image("app", "app:1")
	hang.Await(t, 1)
	r.must(cluster.Delete(t.Context(), object))
	r.gone(object)
	if stored, err := r.cache.Image(t.Context(), reference(host+"/app:1"), nil); err != nil || !stored.Untagged {
		t.Errorf("the image is %+v (%v), want it untagged", stored, err)
	}
}

func TestReconcile_AnObjectMadeAnewTagsAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	r.must(cluster.Delete(t.Context(), object))
	r.gone(object)
	r.ready(r.image("app", "app:1"))
	r.until(func() string { return "the tag to be back" }, func() bool {
		stored, err := r.cache.Image(t.Context(), reference(host+"/app:1"), nil)
		return err == nil && !stored.Untagged
	})
}

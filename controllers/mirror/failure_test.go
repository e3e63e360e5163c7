package mirror_test

import (
	"strings"
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
)

func TestReconcile_AWrongTagSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	object := r.failed(r.image("app", "app:1"), v1alpha1.ReasonNotFound)
	if got := condition(object, "Ready").Message; got != "the origin reg.example has no such image: correct the tag in the pods that use it, or delete this object" {
		t.Errorf("it says %q", got)
	}
	if got := is(object, "Stalled"); got != "True NotFound" {
		t.Errorf("Stalled is %q", got)
	}
	if s := object.Status; s.AvailableUpstream == nil || *s.AvailableUpstream {
		t.Errorf("availableUpstream is %v", s.AvailableUpstream)
	}
	r.refresh(object, "again") // and it fails again
	if notes := r.told(object, "MirrorFailed"); !strings.Contains(notes, "correct the tag") {
		t.Errorf("the event says %q", notes)
	}
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.refresh(object, "corrected")
	object = r.ready(object)
	if got := is(object, "Stalled"); got != "" {
		t.Errorf("Stalled is %q", got)
	}
	r.told(object, "Mirrored")
	if events := r.events(object); len(events["MirrorFailed"]) != 1 {
		t.Errorf("events %q, want one of the failure", events)
	}
}

func TestReconcile_DeniedIsForAPersonToMend(t *testing.T) {
	t.Parallel()
	r := newRig(t, origin.WithBasic(origin.User{Name: "a", Password: "b"})).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.failed(r.image("app", "app:1"), v1alpha1.ReasonDenied)
	if got := is(object, "Stalled"); got != "True Denied" || !strings.Contains(condition(object, "Ready").Message, "imagePullSecrets") {
		t.Errorf("Stalled is %q, Ready says %q", got, condition(object, "Ready").Message)
	}
}

func TestReconcile_AnotherPlatformIsMirroredWhenOneIsWanted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.node("one", "riscv64")
	r.start()
	idx := r.origin.Push(t, "app:1", origin.RandomIndex(1, 4<<10, "linux/amd64", "linux/arm64"))
	object := r.failed(r.image("app", "app:1"), v1alpha1.ReasonNoPlatform)
	if got := condition(object, "Stalled").Message; !strings.Contains(got, "riscv64") || !strings.Contains(got, "linux/arm64") {
		t.Errorf("it says %q", got)
	}
	r.node("two", "arm64")
	object = r.ready(object)
	if n := r.origin.Count(origin.Blobs().Of(idx.Manifests[0].Blobs[1].Digest.String())); n != 0 {
		t.Errorf("a platform that no node has was mirrored")
	}
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", Platforms: []string{"linux/amd64"}})
	r.eventually(object, "stored for another platform", func(object *v1alpha1.CachedImage) bool {
		return strings.Contains(condition(object, "Ready").Message, "linux/amd64") && *object.Status.IsCached
	})
	r.blob(idx.Manifests[0].Blobs[1].Digest)
}

func TestReconcile_AnOriginThatComesBackHealsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.origin.Refuse()
	object := r.failed(r.image("app", "app:1"), v1alpha1.ReasonOriginFailed)
	if got := is(object, "Stalled"); got != "" {
		t.Errorf("Stalled is %q, but nobody needs to act", got)
	}
	r.origin.Heal()
	r.ready(object)
}

func TestReconcile_AnOriginThatIsDownDoesNotFailWhatIsStored(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	r.origin.Refuse()
	object = r.refresh(object, "now")
	if got := is(object, "Ready"); object.Status.Phase != v1alpha1.CachedImageReady || got != "True Mirrored" {
		t.Errorf("phase %s, Ready %q", object.Status.Phase, got)
	}
	if got := is(object, "UpToDate"); got != "Unknown OriginFailed" {
		t.Errorf("UpToDate is %q: %s", got, condition(object, "UpToDate").Message)
	}
	if notes := r.told(object, "RefreshFailed"); !strings.Contains(notes, "what is stored is served") {
		t.Errorf("the event says %q", notes)
	}
	r.stop()
	r.start() // and what it does not know then, it does not change
	r.origin.Heal()
	r.origin.Delete(t, "app@"+object.Status.Digest)
	object = r.refresh(object, "later")
	if got := is(object, "UpToDate"); got != "False NotFound" || *object.Status.AvailableUpstream || object.Status.Phase != v1alpha1.CachedImageReady {
		t.Errorf("UpToDate is %q, status %+v", got, object.Status)
	}
	r.told(object, "GoneUpstream")
}

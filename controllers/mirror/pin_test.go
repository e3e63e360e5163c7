package mirror_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
)

// pin sets spec.pinnedDigest, or removes it.
func (r *rig) pin(object *v1alpha1.CachedImage, dgst digest.Digest) {
	r.t.Helper()
	patch := `{"spec":{"pinnedDigest":null}}`
	if dgst != "" {
		patch = fmt.Sprintf(`{"spec":{"pinnedDigest":%q}}`, dgst)
	}
	r.must(cluster.Patch(r.t.Context(), object.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))))
}

// serves waits until an image is ready with a digest.
func (r *rig) serves(object *v1alpha1.CachedImage, dgst digest.Digest) *v1alpha1.CachedImage {
	r.t.Helper()
	return r.eventually(object, "served with "+dgst.String(), func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == dgst.String() && object.Status.Phase == v1alpha1.CachedImageReady
	})
}

// moved pushes another revision of app:1, and waits until an image is served with it.
func (r *rig) moved(object *v1alpha1.CachedImage) digest.Digest {
	r.t.Helper()
	img := r.origin.Push(r.t, "app:1", origin.RandomImage(1, 4<<10))
	r.refresh(object, img.Digest.Encoded()[:8])
	r.serves(object, img.Digest)
	return img.Digest
}

func TestHistory_InTheStatusAndUnchangedItWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	second := r.moved(object)
	object = r.eventually(object, "with a whole history", func(object *v1alpha1.CachedImage) bool {
		h := object.Status.History
		return len(h) == 2 && h[0].CompleteAt != nil && h[1].CompleteAt != nil
	})
	h := object.Status.History
	if h[0].Digest != second.String() || h[1].Digest != first.String() || h[0].Cause != v1alpha1.RevisionChecked || h[1].Cause != v1alpha1.RevisionPulled {
		t.Errorf("history %+v", h)
	}
	if h[0].FirstSeen.IsZero() || h[0].LastSeen.Before(&h[0].FirstSeen) || h[1].FirstSeen.After(h[0].FirstSeen.Time) {
		t.Errorf("history %+v: the times are wrong", h)
	}
	before := r.get(object)
	made := r.writes.made()
	for range 3 { // a check that says the same makes lastSeen, a mere timestamp, another
		if err := r.cache.Check(t.Context(), reference(host+"/app:1")); err != nil {
			t.Fatal(err)
		}
		r.ready(r.image("later"+strings.ToLower(digest.FromString(time.Now().String()).Encoded()[:6]), "app:1"))
	}
	if after := r.get(object); !equality.Semantic.DeepEqual(before.Status, after.Status) {
		t.Errorf("the status was\n%+v\nand is\n%+v (%d, %d)", before.Status, after.Status, made, r.writes.made())
	}
}

func TestPin_GoesBackAndForthWithoutItsOriginAndSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	second := r.moved(object)
	r.origin.Refuse()
	r.pin(object, first)
	pinned := r.serves(object, first)
	s := pinned.Status
	if s.UpstreamDigest != second.String() || *s.UpToDate || is(pinned, "UpToDate") != "False Pinned" || is(pinned, "Pinned") != "True Pinned" {
		t.Errorf("status %+v", s)
	}
	if c := condition(pinned, "Pinned"); !strings.Contains(c.Message, first.String()) || !strings.Contains(c.Message, second.String()) {
		t.Errorf("the condition says %q, want both digests", c.Message)
	}
	if s.History[0].Digest != first.String() || s.History[0].Cause != v1alpha1.RevisionPinned {
		t.Errorf("history %+v", s.History)
	}
	r.told(object, "Pinned")
	r.stop()
	r.start()
	r.annotate(object, "touched", "1")
	r.serves(object, first)
	r.pin(object, "")
	back := r.serves(object, second)
	if back.Status.History[0].Cause != v1alpha1.RevisionUnpinned || is(back, "Pinned") != "" || is(back, "UpToDate") != "True Current" {
		t.Errorf("status %+v", back.Status)
	}
	r.told(object, "Unpinned")
}

func TestPin_ChecksGoOnAndTheStatusShowsTheDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	r.pin(object, first)
	r.eventually(object, "pinned", func(object *v1alpha1.CachedImage) bool { return is(object, "Pinned") == "True Pinned" })
	second := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	r.refresh(object, "1")
	drifted := r.eventually(object, "behind", func(object *v1alpha1.CachedImage) bool { return object.Status.UpstreamDigest == second.String() })
	if s := drifted.Status; s.Digest != first.String() || s.Phase != v1alpha1.CachedImageReady || is(drifted, "UpToDate") != "False Pinned" {
		t.Errorf("status %+v", s)
	}
	if c := condition(drifted, "Pinned"); !strings.Contains(c.Message, second.String()) {
		t.Errorf("the condition says %q, want what the origin has", c.Message)
	}
	r.pin(object, "")
	r.serves(object, second)
}

func TestPin_ToWhatTheOriginAloneHasIsBroughtIn(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	old := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.image("app", "app:1")
	r.ready(object)
	r.pin(object, old)
	r.serves(object, old)
	r.origin.Refuse()
	if _, err := r.cache.Mirror(t.Context(), reference(host+"/app@"+old.String()), nil, nil); err != nil {
		t.Errorf("it is not stored whole: %v", err)
	}
}

func TestPin_ToWhatNobodyHasChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	r.pin(object, digest.FromString("nothing"))
	unavailable := func(reason string) *v1alpha1.CachedImage {
		t.Helper()
		return r.eventually(object, "not pinned", func(object *v1alpha1.CachedImage) bool {
			return is(object, "PinUnavailable") == "True "+reason && object.Status.Phase == v1alpha1.CachedImageReady
		})
	}
	found := unavailable(v1alpha1.ReasonNotFound)
	if found.Status.Digest != img.String() || is(found, "Pinned") != "" || is(found, "Ready") != "True Mirrored" {
		t.Errorf("status %+v", found.Status)
	}
	if m := condition(found, "PinUnavailable").Message; !strings.Contains(m, "spec.pinnedDigest") {
		t.Errorf("the condition says %q, want what to do", m)
	}
	r.told(object, "PinUnavailable")
	r.stop()
	r.start()
	r.annotate(object, "touched", "1")
	unavailable(v1alpha1.ReasonNotFound)
	r.pin(object, img)
	r.eventually(object, "pinned", func(object *v1alpha1.CachedImage) bool {
		return is(object, "Pinned") == "True Pinned" && is(object, "PinUnavailable") == ""
	})
	r.origin.Fail(origin.Everything(), origin.Status(http.StatusServiceUnavailable))
	r.pin(object, digest.FromString("something"))
	found = unavailable(v1alpha1.ReasonOriginFailed)
	if found.Status.Digest != img.String() {
		t.Errorf("status %+v, want that nothing changed", found.Status)
	}
}

func TestPin_OfANewObjectIsInForceFromTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	old := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	moved := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	hold := r.origin.Fail(origin.Everything(), origin.Status(http.StatusServiceUnavailable))
	object := r.image("app", "app:1")
	r.pin(object, old)
	r.eventually(object, "pinned in vain", func(object *v1alpha1.CachedImage) bool { return is(object, "PinUnavailable") == "True OriginFailed" })
	hold.Heal()
	r.refresh(object, "1")
	if found := r.serves(object, old); len(found.Status.History) == 0 || found.Status.History[0].Cause != v1alpha1.RevisionPinned {
		t.Errorf("status %+v", found.Status)
	}
	r.pin(object, "")
	r.serves(object, moved)
}

func TestPin_OfTwoObjectsTheOldestCountsAndItsEndLeavesTheOther(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	one := r.ready(r.image("one", "app:1"))
	second := r.moved(one)
	r.until(func() string { return "a second to pass" }, func() bool { return time.Since(one.CreationTimestamp.Time) >= 2*time.Second })
	two := r.ready(r.image("two", "app:1"))
	r.pin(one, first)
	r.serves(one, first)
	r.pin(two, second)
	r.eventually(two, "in conflict", func(object *v1alpha1.CachedImage) bool {
		return is(object, "PinUnavailable") == "True Conflict" && object.Status.Digest == first.String()
	})
	r.must(cluster.Delete(t.Context(), one))
	r.gone(one)
	r.eventually(two, "pinned", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == second.String() && is(object, "Pinned") == "True Pinned" && is(object, "PinUnavailable") == ""
	})
	r.pod("user", host+"/app:1")
	r.must(cluster.Delete(t.Context(), two))
	r.gone(two)
	r.until(func() string { return "the pin to end with its object" }, func() bool {
		img, err := r.cache.Image(t.Context(), reference(host+"/app:1"), nil)
		return err == nil && img.Pin.By == ""
	})
}

func TestImmutable_TheStatusAndAnEventSayThatItWasMoved(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", ImmutableTags: []string{":1$"}})
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	if is(object, "Moved") != "" {
		t.Errorf("status %+v, want no condition before it moved", object.Status)
	}
	moved := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	r.refresh(object, "1")
	found := r.eventually(object, "moved", func(object *v1alpha1.CachedImage) bool { return is(object, "Moved") == "True Moved" })
	if s := found.Status; s.Digest != img.String() || s.UpstreamDigest != moved.String() || is(found, "UpToDate") != "False Immutable" || s.Phase != v1alpha1.CachedImageReady {
		t.Errorf("status %+v", s)
	}
	if note := r.told(object, "ImmutableTagMoved"); !strings.Contains(note, img.String()) || !strings.Contains(note, moved.String()) {
		t.Errorf("the event says %q, want both digests", note)
	}
	r.stop()
	r.start()
	r.refresh(object, "2")
	if n := len(r.events(object)["ImmutableTagMoved"]); n != 1 {
		t.Errorf("%d events, want one for one digest", n)
	}
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app"})
	r.refresh(object, "3")
	if found := r.serves(object, moved); is(found, "Moved") != "" || is(found, "UpToDate") != "True Current" {
		t.Errorf("status %+v", found.Status)
	}
}

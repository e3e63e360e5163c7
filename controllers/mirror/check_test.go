package mirror_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
)

func TestCheck_AnOriginThatFailsDoesNotBringBackWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	r.origin.Delete(t, "app@"+object.Status.Digest)
	object = r.refresh(object, "gone")
	if *object.Status.AvailableUpstream {
		t.Fatal("availableUpstream is true, although the origin has it no more")
	}
	r.origin.Fail(origin.Everything(), origin.Status(http.StatusInternalServerError))
	object = r.refresh(object, "down")
	if *object.Status.AvailableUpstream {
		t.Error("availableUpstream is true, because the origin is down")
	}
	if notes := r.events(object)["BackUpstream"]; len(notes) > 0 {
		t.Errorf("events say %q", notes)
	}
}

func TestCheck_TheSameFailureAgainWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	r.origin.Fail(origin.Everything(), origin.Reset()) // whose error names the ports of each connection
	check := func() {
		t.Helper()
		if err := r.cache.Check(t.Context(), reference(host+"/app:1")); err == nil {
			t.Fatal("the check was answered")
		}
	}
	check()
	before := r.eventually(object, "unconfirmed", func(object *v1alpha1.CachedImage) bool {
		return is(object, "UpToDate") == "Unknown OriginFailed"
	})
	for range 3 {
		check()
		r.annotate(object, "touched", rand.Text())
		r.failed(r.image("later"+strings.ToLower(rand.Text()[:6]), "later:1"), v1alpha1.ReasonOriginFailed) // by then the other is reconciled
	}
	if after := r.get(object); !equality.Semantic.DeepEqual(before.Status, after.Status) {
		t.Errorf("the status was\n%+v\nand is\n%+v", before.Status, after.Status)
	}
}

func TestCheck_T5_ANewRevisionIsAPull(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	pulled := object.Status.LastSuccessfulPull
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.until(func() string { return "a second to pass" }, func() bool { return r.now().Sub(pulled.Time).Seconds() >= 2 })
	r.refresh(object, "1")
	object = r.eventually(object, "the new revision", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Digest == img.Digest.String() && object.Status.Phase == v1alpha1.CachedImageReady
	})
	if last := object.Status.LastSuccessfulPull; !last.After(pulled.Time) {
		t.Errorf("lastSuccessfulPull is %v, as before the new revision came", last)
	}
}

func TestCheck_T7_ADigestIsNotSaidToBeChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app@"+img.Digest.String()))
	r.refresh(object, "1")
	r.origin.Forget()
	if note := r.told(object, "Refreshed"); strings.Contains(note, "checked at") {
		t.Errorf("the event says %q", note)
	}
}

func TestReconcile_WhatPullsBroughtInWholeIsAPullToo(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	if _, err := r.cache.Mirror(t.Context(), reference(host+"/app:1"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if object := r.ready(r.image("app", "app:1")); object.Status.LastSuccessfulPull == nil {
		t.Error("there is no lastSuccessfulPull")
	}
}

func TestReconcile_ADigestThatTheOriginGotIsAvailable(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	missing := r.origin.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	object := r.failed(r.image("app", "app@"+img.Digest.String()), v1alpha1.ReasonNotFound)
	if *object.Status.AvailableUpstream {
		t.Fatal("availableUpstream is true, although the origin does not have it")
	}
	missing.Heal()
	r.refresh(object, "pushed")
	if object = r.ready(object); !*object.Status.AvailableUpstream {
		t.Error("availableUpstream is false, although it came from there")
	}
}

func TestReconcile_AFailureOfTheSameReasonSaysWhatItIsAboutNow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.node("one", "riscv64")
	r.start()
	r.origin.Push(t, "app:1", origin.RandomIndex(1, 4<<10, "linux/amd64"))
	object := r.failed(r.image("app", "app:1"), v1alpha1.ReasonNoPlatform)
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", Platforms: []string{"linux/s390x"}})
	says := func(what string) {
		t.Helper()
		r.eventually(object, "about "+what, func(object *v1alpha1.CachedImage) bool {
			return strings.Contains(condition(object, "Ready").Message, what)
		})
	}
	r.refresh(object, "1")
	says("s390x")
	r.stop()
	r.policy(v1alpha1.RepositorySpec{Name: host + "/app", Platforms: []string{"linux/arm64"}})
	r.start()
	says("arm64")
}

package cluster

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

func TestRevisions_RollBackAndForthByACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	first := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10)).Digest
	larder := w.newRegistry(t, o)
	larder.Start(t)
	object := &v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{SourceImage: app}}
	object.Name = "app"
	create(t, w, object)
	w.awaitReady(t, app)
	second := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10)).Digest
	if out, err := w.Kubectl(t, "annotate", "cachedimage", "app", v1alpha1.AnnotationRefresh+"=1"); err != nil {
		t.Fatal(out)
	}
	process.Eventually(t, "the new revision", func() bool {
		s := w.image(t, app).Status
		return s.Digest == second.String() && s.Phase == v1alpha1.CachedImageReady && len(s.History) == 2 && s.History[1].CompleteAt != nil
	})
	run := func(wants []string, args ...string) {
		t.Helper()
		out, err := larder.Run(t, append(args, "--kubeconfig", w.Kubeconfig)...)
		if err != nil {
			t.Fatalf("larder %v: %v\n%s", args, err, out)
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("larder %v says\n%s\nwant %q in it", args, out, want)
			}
		}
	}
	serves := func(want digest.Digest) {
		t.Helper()
		if got, _ := larder.Get(t, http.MethodHead, private); got.Header.Get("Docker-Content-Digest") != want.String() {
			t.Errorf("served with %s, want %s", got.Header.Get("Docker-Content-Digest"), want)
		}
	}
	o.Refuse()
	run([]string{first.String(), second.String(), "first pulled"}, "history", app)
	run([]string{"was " + second.String(), "is now " + first.String(), "pinned"}, "rollback", app)
	serves(first)
	run([]string{"was " + first.String(), "is now " + second.String()}, "pin", app, second.Encoded()[:10])
	serves(second)
	run([]string{"is now " + second.String()}, "unpin", app)
	o.Heal()
	nothing := digest.FromString("nothing").String()
	out, err := larder.Run(t, "pin", app, nothing, "--context", "test", "--kubeconfig", w.Kubeconfig)
	if err == nil || !strings.Contains(out, v1alpha1.ReasonNotFound) || !strings.Contains(out, nothing) {
		t.Errorf("pinning to nothing: got %v and\n%s", err, out)
	}
	serves(second)
	run([]string{"is now " + second.String()}, "unpin", app)
	described, err := w.Kubectl(t, "describe", "cachedimage", "app")
	for _, want := range []string{first.String(), second.String(), "History", "Unpinned", "PinUnavailable"} {
		if err != nil || !strings.Contains(described, want) {
			t.Errorf("kubectl describe says (%v)\n%s\nwant %q in it", err, described, want)
		}
	}
}

func TestRevisions_APinOfAnImageWithoutAnObjectMakesOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	first := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10)).Digest
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o)
	larder.Start(t)
	if out, err := larder.Run(t, "rollback", app, "--kubeconfig", w.Kubeconfig); err == nil || !strings.Contains(out, "no CachedImage") {
		t.Errorf("rolling back what is not there: got %v and\n%s", err, out)
	}
	if out, err := larder.Run(t, "pin", app, first.String(), "--kubeconfig", w.Kubeconfig); err != nil || !strings.Contains(out, "Created CachedImage") {
		t.Fatalf("larder pin: %v\n%s", err, out)
	}
	if got := w.awaitReady(t, app); got.Status.Digest != first.String() {
		t.Errorf("status %+v", got.Status)
	}
}

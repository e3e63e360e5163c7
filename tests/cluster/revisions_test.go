package cluster

import (
	"net/http"
	"regexp"
	"slices"
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
	w.describes(t, first.String(), second.String())
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

// describes checks that one command answers what app is, since when and why, what is newer, and why it is not that.
func (w *world) describes(t *testing.T, pinned, newer string) {
	t.Helper()
	described := w.kubectl(t, "describe", "cachedimage", "app")
	for question, answer := range map[string]string{
		"what is it":              `\n  Digest: +` + pinned + `\n`,
		"since when, and why":     `\n  History:\n    Cause: +Pin\n    Complete At: .*\n    Digest: +` + pinned + `\n    First Seen: +\d`,
		"what is newer":           `\n  Upstream Digest: +` + newer + `\n`,
		"why is it not that":      `the origin has ` + newer + ` now; ` + pinned + ` is served: the tag is pinned\n`,
		"what to do to follow it": `its origin has ` + newer + `: remove it to follow that\n`,
	} {
		if !regexp.MustCompile(answer).MatchString(described) {
			t.Errorf("%s? kubectl describe says\n%s\nwant %s", question, described, answer)
		}
	}
}

func TestRevisions_UnpinSaysWhatPinsItStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	first := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10)).Digest
	second := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10)).Digest
	larder := w.newRegistry(t, o)
	larder.Start(t)
	for _, name := range []string{"one", "two"} {
		object := &v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{SourceImage: app, PinnedDigest: first.String()}}
		object.Name = name
		create(t, w, object)
	}
	process.Eventually(t, "both to say that it is pinned", func() bool {
		var list v1alpha1.CachedImageList
		if err := w.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(list.Items, func(o v1alpha1.CachedImage) bool { return o.Status.Digest != first.String() })
	})
	if out, err := larder.Run(t, "unpin", app, "--kubeconfig", w.Kubeconfig); err == nil || !strings.Contains(out, "once more") {
		t.Errorf("unpinning one of two: got %v and\n%s", err, out)
	}
	if out, err := larder.Run(t, "unpin", app, "--kubeconfig", w.Kubeconfig); err != nil {
		t.Errorf("unpinning the other: got %v and\n%s", err, out)
	}
	process.Eventually(t, "the tag to follow its origin", func() bool {
		got, _ := larder.Get(t, http.MethodHead, private)
		return got.Header.Get("Docker-Content-Digest") == second.String()
	})
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

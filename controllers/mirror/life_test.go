package mirror_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
)

func TestReconcile_M1_BringsAnImageInAndSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(2, 1<<20))
	object := r.ready(r.image("app", "app:1"))
	s := object.Status
	if !controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerUntag) {
		t.Error("it has no finalizer")
	}
	if s.IsCached == nil || !*s.IsCached || s.UpToDate == nil || !*s.UpToDate || s.AvailableUpstream == nil || !*s.AvailableUpstream {
		t.Errorf("cached %v, up to date %v, available %v; want all true", s.IsCached, s.UpToDate, s.AvailableUpstream)
	}
	if want := img.Digest.String(); s.Digest != want || s.UpstreamDigest != want || s.Size.String() != "3Mi" || s.Progress != "" {
		t.Errorf("digest %s, upstream %s, size %s, progress %q", s.Digest, s.UpstreamDigest, s.Size, s.Progress)
	}
	if s.LastSync == nil || s.LastSuccessfulPull == nil || s.LastSeenUpstream == nil || s.ObservedGeneration != object.Generation {
		t.Errorf("a time or the generation is missing: %+v", s)
	}
	got := []string{is(object, "Ready"), is(object, "UpToDate"), is(object, "Reconciling"), is(object, "Stalled")}
	if want := []string{"True Mirrored", "True Current", "", ""}; !slices.Equal(got, want) {
		t.Errorf("conditions %q, want %q", got, want)
	}
	if note := r.told(object, "Mirrored"); !strings.Contains(note, img.Digest.String()) || !strings.Contains(note, "3Mi") {
		t.Errorf("the event says %q", note)
	}
	out, err := cluster.Kubectl(t, "get", "ci", object.Name)
	if row := strings.Join(strings.Fields(out), " "); err != nil || !strings.Contains(row, "reg.example/app:1 Ready true true 3Mi") {
		t.Errorf("kubectl says %s (%v)", out, err)
	}
	if n := r.writes.made(); n > 3 {
		t.Errorf("%d versions of a new image, want the finalizer, Mirroring and Ready", n)
	}
}

func TestReconcile_ADigestIsNeverOutOfDate(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app@"+img.Digest.String()))
	if s := object.Status; s.UpToDate == nil || !*s.UpToDate || s.LastSync != nil || s.LastSeenUpstream == nil || is(object, "UpToDate") != "" {
		t.Errorf("status %+v", s)
	}
}

func TestReconcile_ASteadyStateWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.origin.Push(t, "later:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	r.origin.Forget()
	before := r.writes.n.Load()
	for _, value := range []string{"1", "2", "3"} {
		r.annotate(object, "touched", value)
	}
	r.ready(r.image("later", "later:1")) // by then the others are reconciled
	if n := r.writes.n.Load() - before; n > 3 {
		t.Errorf("%d writes, want those for the other image alone", n)
	}
	if n := r.origin.Count(origin.Everything().In("app")); n > 0 {
		t.Errorf("%d requests to the origin, want none", n)
	}
	after := r.get(object)
	r.stop()
	r.start() // what is stored already needs no write either
	r.origin.Push(t, "last:1", origin.RandomImage(1, 4<<10))
	r.ready(r.image("last", "last:1"))
	if now := r.get(object); now.ResourceVersion != after.ResourceVersion {
		t.Errorf("a restart changed %+v to %+v", after.Status, now.Status)
	}
}

func TestReconcile_M2_ProgressAndARestartThatResumes(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(2, 1<<20))
	slow := r.origin.Fail(origin.Blobs().Of(img.Blobs[2].Digest.String()), origin.Hang())
	object := r.image("app", "app:1")
	found := r.eventually(object, "half way", func(object *v1alpha1.CachedImage) bool { return object.Status.Progress == "50%" })
	if got := is(found, "Reconciling"); found.Status.Phase != v1alpha1.CachedImageMirroring || got != "True Mirroring" {
		t.Errorf("phase %s, Reconciling %q", found.Status.Phase, got)
	}
	r.stop()
	r.start()
	slow.Heal()
	r.ready(object)
	if got := r.origin.BytesSent(img.Blobs[1].Digest); got != img.Blobs[1].Size {
		t.Errorf("%d bytes of a layer of %d that was there before", got, img.Blobs[1].Size)
	}
}

func TestReconcile_M3_BringsBackWhatTheStoreLost(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 64<<10))
	object := r.ready(r.image("app", "app:1"))
	file := r.blob(img.Blobs[1].Digest)
	r.must(os.Remove(file))
	r.annotate(object, "touched", "now") // instead of an hour
	r.until(func() string { return "the blob to be back" }, func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
	r.eventually(object, "ready again", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Phase == v1alpha1.CachedImageReady && *object.Status.IsCached
	})
}

func TestReconcile_ExpiresOnTime(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	out, err := cluster.Kubectl(t, "patch", "ci", object.Name, "--type=merge", "-p",
		`{"spec":{"expiresAt":"`+time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)+`"}}`)
	if err != nil {
		t.Fatal(out)
	}
	r.eventually(object, "expiring", inPhase(v1alpha1.CachedImageExpiring))
	if out, err := cluster.Kubectl(t, "patch", "ci", object.Name, "--type=merge", "-p", `{"spec":{"expiresAt":null}}`); err != nil {
		t.Fatal(out)
	}
	r.ready(object)
}

package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/mirror"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

// watched is a cache of which a test sees how many mirrors run, and which it breaks.
type watched struct {
	*cache.Cache
	running, most atomic.Int64
	mirrors       atomic.Int64
	broken        atomic.Bool
}

func (w *watched) Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error) {
	w.mirrors.Add(1)
	now := w.running.Add(1)
	defer w.running.Add(-1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	return w.Cache.Mirror(ctx, ref, platforms, progress)
}

func (w *watched) Image(ctx context.Context, ref imageref.Reference, platforms []string) (cache.Image, error) {
	if w.broken.Load() {
		return cache.Image{}, errors.New("input/output error")
	}
	return w.Cache.Image(ctx, ref, platforms)
}

func (r *rig) watch() *watched {
	w := &watched{}
	r.wrap = func(c *cache.Cache) mirror.Cache {
		w.Cache = c
		return w
	}
	return w
}

func TestMirrors_ABoundedNumberRunsAndOthersWaitTheirTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.options.Mirrors = 3
	w := r.watch()
	hang := r.origin.Fail(origin.Blobs(), origin.Hang())
	r.start()
	var objects []*v1alpha1.CachedImage
	for i, at := range []string{host, "a.example", "b.example", "c.example"} {
		for n := range 2 {
			path := fmt.Sprintf("app%d%d", i, n)
			r.origin.Push(t, path+":1", origin.RandomImage(1, 4<<10))
			objects = append(objects, r.image(path, at+"/"+path+":1"))
		}
	}
	waits := func() (n int) {
		for _, object := range objects {
			if found := r.get(object); found.Status.Phase == v1alpha1.CachedImagePending && is(found, "Reconciling") == "True Pending" {
				n++
			}
		}
		return n
	}
	r.until(func() string { return "five images to wait" }, func() bool { return waits() == 5 })
	hang.Heal()
	for _, object := range objects {
		r.ready(object)
	}
	if most := w.most.Load(); most != 3 {
		t.Errorf("%d mirrors at a time, want 3", most)
	}
}

func TestMirrors_TwoObjectsOfOneImageShareOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.watch()
	r.start()
	img := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	hang := r.origin.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), origin.Hang())
	one, two := r.image("one", "app:1"), r.image("two", "REG.example/app:1")
	for _, object := range []*v1alpha1.CachedImage{one, two} {
		r.eventually(object, "mirroring", inPhase(v1alpha1.CachedImageMirroring))
	}
	hang.Heal()
	r.ready(one)
	r.ready(two)
	if n := w.mirrors.Load(); n != 1 {
		t.Errorf("%d mirrors, want one", n)
	}
}

func TestReconcile_AStoreThatFailsIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.watch()
	r.start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1"))
	w.broken.Store(true)
	r.annotate(object, "touched", "1")
	before := object.Status
	object = r.failed(object, v1alpha1.ReasonStorageFailed)
	if s := object.Status; s.IsCached != nil || s.Digest != before.Digest || !s.LastSync.Equal(before.LastSync) || is(object, "UpToDate") != "True Current" {
		t.Errorf("what was known of it became %+v", s)
	}
	if got := condition(object, "Ready").Message; !strings.Contains(got, "input/output error") {
		t.Errorf("it says %q", got)
	}
	w.broken.Store(false)
	object = r.ready(object) // by itself: the error is tried again
	if got := object.Status; !got.LastSuccessfulPull.Equal(before.LastSuccessfulPull) {
		t.Errorf("last pulled at %v, want %v", got.LastSuccessfulPull, before.LastSuccessfulPull)
	}
}

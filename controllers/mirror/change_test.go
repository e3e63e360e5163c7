package mirror_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/mirror"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/tests/origin"
)

// heard is what a registry told of changes, over all its starts.
type heard struct {
	mu  sync.Mutex
	all []events.Change
}

func (h *heard) Tell(c events.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
}

func (h *heard) changes() []events.Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *heard) kinds() (kinds []string) {
	for _, c := range h.changes() {
		kinds = append(kinds, string(c.Kind))
	}
	return kinds
}

// hears waits for the kinds of changes that are told since the test last asked, in their order, and returns the changes.
func (r *rig) hears(want ...string) []events.Change {
	r.t.Helper()
	r.until(func() string { return fmt.Sprintf("the changes %v; there are %v", want, r.heard.kinds()) },
		func() bool { return len(r.heard.changes()) >= len(want) })
	if got := r.heard.kinds(); !slices.Equal(got, want) {
		r.t.Fatalf("it told %v, want %v", got, want)
	}
	told := r.heard.changes()
	r.heard.mu.Lock()
	r.heard.all = nil
	r.heard.mu.Unlock()
	return told
}

func TestChanges_EachIsToldOnceToAll(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.ready(r.image("app", "app:1", v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
	r.hears("discovered", "mirrored")

	second := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.refresh(object, "moved")
	r.eventually(object, "the new revision", func(o *v1alpha1.CachedImage) bool { return o.Status.Digest == second.Digest.String() })
	r.until(func() string { return "the move" }, func() bool { return slices.Contains(r.heard.kinds(), "mirrored") })
	moved := slices.DeleteFunc(r.heard.changes(), func(c events.Change) bool { return c.Kind != events.Moved })
	if len(moved) != 1 || moved[0].Digest != second.Digest || moved[0].Previous != first.Digest || moved[0].Image != host+"/app:1" {
		t.Errorf("the move was told as %+v", moved)
	}
	r.hears(r.heard.kinds()...)

	down := r.origin.Fail(origin.Manifests(), origin.Status(http.StatusInternalServerError))
	r.refresh(object, "down")
	if stale := r.hears("stale")[0]; stale.Reason != v1alpha1.ReasonOriginFailed || stale.Digest != second.Digest || stale.Since.IsZero() {
		t.Errorf("it was told as %+v", stale)
	}
	down.Heal()
	r.refresh(object, "up")
	r.hears("current")
	gone := r.origin.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	r.refresh(object, "gone")
	if told := r.hears("gone")[0]; told.Reason != v1alpha1.ReasonNotFound || told.Since.IsZero() {
		t.Errorf("it was told as %+v", told)
	}
	gone.Heal()
	r.refresh(object, "back")
	r.hears("back")
	for _, reason := range []string{"Discovered", "Mirrored", "TagMoved", "Stale", "Current", "GoneUpstream", "BackUpstream"} {
		r.told(object, reason)
	}
}

func TestChanges_OfWhatHoldsATagAreToldToAll(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	first := r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10)).Digest
	object := r.ready(r.image("app", "app:1"))
	second := r.moved(object)
	r.hears(r.heard.kinds()...)
	told := func(want events.Kind) events.Change {
		r.until(func() string { return string(want) }, func() bool { return slices.Contains(r.heard.kinds(), string(want)) })
		changes := r.heard.changes()
		return changes[slices.IndexFunc(changes, func(c events.Change) bool { return c.Kind == want })]
	}
	r.pin(object, first)
	if c := told(events.Pinned); c.Digest != first || c.Previous != second {
		t.Errorf("the pin was told as %+v", c)
	}
	r.pin(object, "")
	if c := told(events.Unpinned); c.Digest != second || c.Previous != first {
		t.Errorf("its end was told as %+v", c)
	}
	r.told(object, "Pinned")
	r.told(object, "Unpinned")
}

func TestChanges_AreToldBeforeTheStatusIsWrittenAndNeverLost(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	r.writes.refuse.Store(true)
	object := r.image("app", "app:1")
	first := r.hears("mirrored")
	r.annotate(object, "touched", "1") // again, although the status says nothing yet
	r.until(func() string { return "the mirror to be tried" }, func() bool { return r.origin.Count(origin.Manifests()) > 0 })
	r.stop() // before anybody has noted that it was told
	if told := r.heard.kinds(); len(told) > 0 {
		t.Errorf("it told %v again", told)
	}
	r.writes.refuse.Store(false)
	r.start()
	r.ready(object)
	if again := r.hears("mirrored"); again[0].ID != first[0].ID {
		t.Errorf("the same change has the ID %s and then %s", first[0].ID, again[0].ID)
	}
	r.stop()
	r.start()
	r.refresh(object, "1")
	if told := r.heard.kinds(); len(told) > 0 {
		t.Errorf("it told %v although the status says so already", told)
	}
}

// slowToSay is a cache of which the first mirror has brought everything in some time before it says so.
type slowToSay struct {
	*cache.Cache
	first   *atomic.Bool
	in, say chan struct{}
}

func (s slowToSay) Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error) {
	got, err := s.Cache.Mirror(ctx, ref, platforms, progress)
	if s.first.CompareAndSwap(false, true) {
		close(s.in)
		<-s.say
	}
	return got, err
}

func TestChanges_AMirrorTellsItselfWhatItBroughtInAndOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slow := slowToSay{first: &atomic.Bool{}, in: make(chan struct{}), say: make(chan struct{})}
	r.wrap = func(c *cache.Cache) mirror.Cache { slow.Cache = c; return slow }
	r.start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.image("app", "app:1")
	<-slow.in
	mirrored := func() (n int) {
		for _, c := range r.heard.changes() {
			if c.Kind == events.Mirrored && c.Image == host+"/app:1" {
				n++
			}
		}
		return n
	}
	reconciled := func(other string) { // since it was touched
		r.annotate(object, "touched", other)
		r.origin.Push(t, other+":1", origin.RandomImage(1, 4<<10))
		r.ready(r.image(other, other+":1"))
	}
	reconciled("one")
	if found := r.get(object); mirrored() != 0 || found.Status.Phase == v1alpha1.CachedImageReady {
		t.Errorf("while its mirror runs it is %s, and was told %d times", found.Status.Phase, mirrored())
	}
	close(slow.say)
	r.ready(object)
	reconciled("two")
	if n := mirrored(); n != 1 {
		t.Errorf("it was told %d times, want once", n)
	}
	if note := r.told(object, "Mirrored"); !strings.Contains(note, "came from the origin") {
		t.Errorf("the event says %q, want what it took", note)
	}
}

// evict has the registry remove what it may.
func (r *rig) evict() {
	r.t.Helper()
	r.must(r.cache.Evict(r.t.Context(), cache.Limit{High: 1}))
}

// expire has an object say when it expires, or that it does not.
func (r *rig) expire(object *v1alpha1.CachedImage, at *metav1.Time) {
	r.t.Helper()
	before := r.get(object)
	after := before.DeepCopy()
	after.Spec.ExpiresAt = at
	r.must(cluster.Patch(r.t.Context(), after, client.MergeFrom(before)))
	set, problems := policy.Compile(nil, []v1alpha1.CachedImage{*after}, policy.Defaults{})
	if len(problems) > 0 {
		r.t.Fatal(problems)
	}
	r.current.Store(set) // as another controller does
}

// isEvicted says whether an object tells that its image was evicted.
func isEvicted(o *v1alpha1.CachedImage) bool {
	return is(o, "Ready") == "False Evicted" && o.Status.Phase == v1alpha1.CachedImagePending && !*o.Status.IsCached && o.Status.Digest == ""
}

func TestEvicted_StaysOutUntilItIsPulledOrUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 64<<10))
	object := r.ready(r.image("app", "app:1"))
	later := metav1.NewTime(time.Now().Add(24 * time.Hour))
	r.expire(object, &later)
	r.hears("mirrored")
	r.evict()
	r.eventually(object, "evicted", isEvicted)
	told := r.hears("evicted")[0]
	if told.Bytes < 64<<10 || told.Reason != "OverLimit" || told.Digest == "" || told.Image != host+"/app:1" {
		t.Errorf("it was told as %+v", told)
	}
	if note := r.told(object, "Evicted"); !strings.Contains(note, "larger than its limit") || !strings.Contains(note, "Ki") {
		t.Errorf("the event says %q", note)
	}

	r.origin.Forget()
	r.annotate(object, "touched", "1")
	r.stop()
	r.start()
	r.origin.Push(t, "other:1", origin.RandomImage(1, 4<<10))
	r.ready(r.image("other", "other:1")) // by then the one that is out was reconciled
	if object = r.eventually(object, "evicted still", isEvicted); r.origin.Count(origin.Manifests().In("app")) != 0 {
		t.Error("what was evicted is brought in again by itself")
	}

	ref := reference(host + "/app:1")
	if _, _, err := r.cache.ResolveManifest(t.Context(), ref.Repository, ref.Tag); err != nil {
		t.Fatal(err)
	}
	r.ready(object) // by a pull
	r.evict()
	r.eventually(object, "evicted again", isEvicted)
	r.expire(object, nil) // a pod uses it
	r.ready(object)
}

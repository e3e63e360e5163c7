package cache

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEvict_LeastRecentlyPulledFirstUnderChurn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.named = map[string]bool{"kept": true}
	kept := f.origin.Push(t, "app:kept", origin.RandomImage(1, 64<<10))
	f.mirror(t, "app:kept")
	limit := Limit{High: 300 << 10, Low: 220 << 10} // four images, then three
	for n := range 12 {
		f.clock.advance(2 * time.Hour)
		f.origin.Push(t, fmt.Sprint("app:", n), origin.RandomImage(1, 64<<10))
		f.pull(t, "app", fmt.Sprint(n))
		if err := f.Evict(t.Context(), limit); err != nil {
			t.Fatal(err)
		}
		if used, err := f.options.Store.Usage(t.Context()); err != nil || used > limit.High {
			t.Errorf("after %d images: %d bytes, %v; want no more than %d", n+1, used, err, limit.High)
		}
		if got := f.image(t, fmt.Sprint("app:", n)); got.Untagged || !got.Complete {
			t.Errorf("the image that was pulled last: %+v, want it there", got)
		}
	}
	if got := f.image(t, "app:kept"); got.Digest != kept.Digest || !got.Complete {
		t.Errorf("got %+v, want the image that an object names there", got)
	}
	if got := testutil.ToFloat64(f.options.Metrics.Evictions); got < 8 {
		t.Errorf("%v evictions were counted, want 8 at least", got)
	}
	f.pull(t, "app", "0") // it comes back
}

func TestEvict_LeavesASharedStoreAsItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.share(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	if err := f.Evict(t.Context(), Limit{High: 2, Low: 1}); !errors.Is(err, store.ErrShared) {
		t.Errorf("got %v, want that the store is shared", err)
	}
	if got := f.image(t, "app:1"); got.Untagged {
		t.Errorf("got %+v, want a tag", got)
	}
}

func TestEvict_UntagsNothingThatItCannotFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 64<<10))
	f.origin.Push(t, "app:loose", origin.RandomImage(1, 64<<10))
	begun, end := make(chan struct{}), make(chan struct{})
	var hold atomic.Bool // the next to ask waits
	f.options.Keeps = func(imageref.Repository, digest.Digest) bool {
		if hold.CompareAndSwap(true, false) {
			close(begun)
			<-end
		}
		return false
	}
	f.restart(t)
	f.mirror(t, "app:1")
	f.mirror(t, "app:loose")
	f.untag(t, "app:loose")
	hold.Store(true)
	var sweeping sync.WaitGroup
	sweeping.Go(func() { f.sweep(t, time.Hour) })
	<-begun
	limit := Limit{High: 100 << 10, Low: 90 << 10}
	if err := f.Evict(t.Context(), limit); !errors.Is(err, store.ErrSweeping) {
		t.Errorf("got %v, want that a sweep is running", err)
	}
	close(end)
	sweeping.Wait()
	if err := f.Evict(t.Context(), limit); err != nil {
		t.Error(err)
	}
	if got := f.image(t, "app:1"); got.Untagged || got.Digest != img.Digest {
		t.Errorf("got %+v, want the image that was in use", got)
	}
}

func TestEvict_SharedBlobsStayAndWhereAllIsInUseItIsSaid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.named = map[string]bool{"kept": true}
	image := origin.RandomImage(1, 64<<10)
	kept := f.origin.Push(t, "app:kept", image)
	f.origin.Push(t, "app:same", image)
	f.mirror(t, "app:kept")
	f.pull(t, "app", "same")
	for _, step := range []struct {
		limit Limit
		want  float64
	}{{Limit{High: 1 << 10, Low: 1 << 9}, 1}, {Limit{High: 1 << 30, Low: 1 << 29}, 0}} {
		if err := f.Evict(t.Context(), step.limit); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(f.options.Metrics.StoreCrowded); got != step.want {
			t.Errorf("limit %+v: got %v, want %v", step.limit, got, step.want)
		}
	}
	f.origin.Refuse()
	f.pullDigest(t, "app", kept.Descriptor)
	f.wantUnknown(t, "app", "same")
}

func TestEvict_WhatAnObjectNamesAndNobodyUsesGoesToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.named = map[string]bool{"used": true, "unused": true}
	f.options.Spare = func(_ imageref.Repository, tag string) bool { return tag == "unused" }
	var told []string
	f.options.OnEvict = func(ref imageref.Reference, image Image) {
		there, err := f.Image(t.Context(), ref, nil)
		told = append(told, fmt.Sprint(ref.Tag, " ", image.Digest == there.Digest, there.Complete, there.Untagged, err))
	}
	crowded := 0
	f.options.OnCrowded = func(int64, Limit) { crowded++ }
	f.restart(t)
	for _, tag := range []string{"used", "unused"} {
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 64<<10))
		f.mirror(t, "app:"+tag)
	}
	for _, limit := range []Limit{{High: 100 << 10, Low: 80 << 10}, {High: 2, Low: 1}, {High: 2, Low: 1}} {
		if err := f.Evict(t.Context(), limit); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"unused true true false <nil>"}; !slices.Equal(told, want) {
		t.Errorf("it told %q, want %q: each once, while it is there", told, want)
	}
	if crowded != 2 {
		t.Errorf("it said %d times that the store is crowded, want 2", crowded)
	}
	if got := f.image(t, "app:used"); !got.Complete {
		t.Errorf("got %+v, want the image that is in use there", got)
	}
}

// wantEvicted fails the test where a tag is not known to have been evicted.
func (f *fixture) wantEvicted(t *testing.T, when, image string) {
	t.Helper()
	if diff := cmp.Diff(Image{Untagged: true, Evicted: true}, f.image(t, image)); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
}

func TestEvict_ItIsKnownUntilTheImageIsBackOrNothingNamesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.name("back", "forgotten")
	f.options.Spare = func(imageref.Repository, string) bool { return true }
	f.restart(t)
	for _, tag := range []string{"back", "forgotten"} {
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 64<<10))
		f.mirror(t, "app:"+tag)
	}
	if err := f.Evict(t.Context(), Limit{High: 2, Low: 1}); err != nil {
		t.Fatal(err)
	}
	if used, err := f.options.Store.Usage(t.Context()); err != nil || used > 0 {
		t.Errorf("%d bytes are left, %v; want none", used, err)
	}
	f.wantEvicted(t, "at once", "app:back")
	f.restart(t)
	if got := f.sweep(t, 0); got.Freed != (store.Swept{}) || got.Waiting != (store.Swept{}) {
		t.Errorf("a sweep: got %+v, want nothing to do", got)
	}
	f.wantEvicted(t, "after a restart and a sweep", "app:back")

	f.pull(t, "app", "back")
	if got := f.image(t, "app:back"); got.Evicted || got.Untagged || !got.Complete || len(got.History) != 1 {
		t.Errorf("got %+v, want the image back, as if it had never been here", got)
	}
	f.policies.name("back")
	f.untag(t, "app:back") // which is no eviction
	f.sweep(t, 0)
	for _, tag := range []string{"back", "forgotten"} {
		if got, err := f.Image(t.Context(), reference(t, "app:"+tag), nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %+v, %v; want store.ErrNotFound", tag, got, err)
		}
	}
}

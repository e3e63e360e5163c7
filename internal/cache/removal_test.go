package cache

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

func (f *fixture) untag(t *testing.T, image string) {
	t.Helper()
	if err := f.Untag(t.Context(), reference(t, image)); err != nil {
		t.Fatal(err)
	}
}

func TestUntag_M4_ServedOnlyWhereTheOriginFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	for range 2 { // a finalizer may come twice
		f.untag(t, "app:1")
		if got := f.image(t, "app:1"); !got.Untagged || got.Digest != old.Digest || !got.Complete {
			t.Errorf("got %+v, want the tombstone of %s", got, old.Digest)
		}
		f.restart(t)
	}
	f.origin.Refuse()
	f.expect(t, "app", "1", old.Digest, Stale)
	f.pullDigest(t, "app", old.Descriptor)
	f.origin.Heal()
	f.clock.advance(time.Minute)
	f.expect(t, "app", "1", moved.Digest, Miss)
	if got := f.image(t, "app:1"); got.Untagged {
		t.Errorf("got %+v after a pull, want a tag again", got)
	}
}

func TestUntag_M4_WhatIsNoTagOfOurs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.untag(t, "app:2")
	f.untag(t, "none:1")
	f.untag(t, "app@"+string(img.Digest))
	f.untag(t, "app:1@"+string(img.Digest))
	if got := f.image(t, "app:1"); got.Untagged {
		t.Errorf("got %+v, want the tag left alone", got)
	}
	f.origin.Refuse()
	f.expect(t, "app", "1", img.Digest, Hit)
}

func TestUntag_M4_WhatIsUnderWayDoesNotBringTheTagBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stored bool // before
		hang   func(*origin.Origin) *origin.Fault
		do     func(*fixture, *testing.T)
	}{
		"a mirror of its blobs":    {true, hangBlobs, func(f *fixture, t *testing.T) { f.mirror(t, "app:1") }},
		"a mirror of its manifest": {false, hangManifests, func(f *fixture, t *testing.T) { f.mirror(t, "app:1") }},
		"a check that moves it":    {true, hangManifests, func(f *fixture, t *testing.T) { f.check(t, "app:1") }},
		"a pull that is answered":  {false, hangManifests, func(f *fixture, t *testing.T) { f.pull(t, "app", "1") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			old := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
			if test.stored {
				f.resolve(t, "app", "1")
				f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
			}
			hang := test.hang(f.origin)
			var wg sync.WaitGroup
			wg.Go(func() { test.do(f, t) })
			hang.Await(t, 1)
			f.untag(t, "app:1")
			hang.Heal()
			wg.Wait()
			f.restart(t) // what was under way has ended
			got, err := f.Image(t.Context(), reference(t, "app:1"), nil)
			switch {
			case !test.stored && !errors.Is(err, store.ErrNotFound):
				t.Errorf("got %+v, %v, want store.ErrNotFound", got, err)
			case test.stored && (err != nil || !got.Untagged || got.Digest != old.Digest):
				t.Errorf("got %+v, %v, want the tombstone of %s", got, err, old.Digest)
			}
		})
	}
}

func hangBlobs(o *origin.Origin) *origin.Fault { return o.Fail(origin.Blobs(), origin.Hang()) }

func hangManifests(o *origin.Origin) *origin.Fault { return o.Fail(origin.Manifests(), origin.Hang()) }

func TestUntag_M4_TheTimeOfAPullIsNoPull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	key := tagKey{repository("app"), "1"}
	st, err := f.tagState(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	seen := st.rec.Load() // by a pull that has yet to write down its time
	f.untag(t, "app:1")
	f.clock.advance(2 * time.Hour)
	f.touch(key, st, seen, f.clock.now())
	eventually(t, "the time was written, or not", func() bool { return !st.touching.Load() })
	if got := f.image(t, "app:1"); !got.Untagged {
		t.Errorf("got %+v, want the tag removed", got)
	}
}

func TestUntag_M4_AMirrorBringsATombstoneBack(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]bool{"from the origin": false, "from the store": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.options.ExpiryDelay = 24 * time.Hour
			f.restart(t)
			img := f.origin.Push(t, "app:1", origin.RandomIndex(2, 1<<12, "linux/amd64"))
			f.mirror(t, "app:1")
			f.untag(t, "app:1")
			f.restart(t)
			f.clock.advance(48 * time.Hour)
			if refuse {
				f.origin.Refuse()
			}
			out := f.mirror(t, "app:1", "linux/amd64")
			if out.Digest != img.Digest || out.Loaded != 0 || (out.Outcome.Kind == Stale) != refuse {
				t.Errorf("got %+v, want %s, nothing loaded, stale: %v", out, img.Digest, refuse)
			}
			f.restart(t)
			f.expireAll(t) // its time begins anew (M5)
			if got := f.image(t, "app:1"); got.Untagged || !got.Complete {
				t.Errorf("got %+v, want a complete tag again", got)
			}
			f.expect(t, "app", "1", img.Digest, Hit)
		})
	}
}

func TestUntag_M4_ATombstoneThatLacksSomethingStaysOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.resolve(t, "app", "1")
	f.untag(t, "app:1")
	f.origin.Refuse()
	if out, err := f.Mirror(t.Context(), reference(t, "app:1"), nil, nil); err == nil {
		t.Errorf("got %+v without its blobs", out)
	}
	if got := f.image(t, "app:1"); !got.Untagged || got.Complete || got.Problem == nil {
		t.Errorf("got %+v, want an incomplete tombstone, and why it could not be fetched", got)
	}
}

func TestUntag_M4_TheLastCompleteRevisionComesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute})
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	f.clock.advance(time.Minute)
	f.resolve(t, "app", "1")
	eventually(t, "the mirror failed", func() bool { return f.mirrorFailed(tagKey{repository("app"), "1"}) })
	f.untag(t, "app:1")
	f.origin.Refuse()
	if out := f.mirror(t, "app:1"); out.Digest != old.Digest {
		t.Errorf("got %+v, want the complete %s", out, old.Digest)
	}
	if got := f.image(t, "app:1"); got.Untagged || got.Digest != old.Digest || !got.Complete {
		t.Errorf("got %+v, want %s complete", got, old.Digest)
	}
}

func TestUntag_M4_AgainstPullsMirrorsAndChecks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.options.OnTag = newNotices().add
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 15 {
				f.untag(t, "app:1")
			}
		})
		wg.Go(func() {
			for range 15 {
				f.mirror(t, "app:1")
			}
		})
		wg.Go(func() {
			for range 15 {
				f.pull(t, "app", "1")
				f.clock.advance(time.Hour)
			}
		})
		wg.Go(func() {
			for range 15 {
				f.check(t, "app:1")
				_, err := f.Image(t.Context(), reference(t, "app:1"), nil)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
		}
	})
	wg.Wait()
	f.untag(t, "app:1")
	f.restart(t) // what ran in the background has ended
	if got := f.image(t, "app:1"); !got.Untagged {
		t.Errorf("got %+v, want the tag removed", got)
	}
	f.mirror(t, "app:1")
	if got := f.image(t, "app:1"); got.Untagged || !got.Complete {
		t.Errorf("got %+v, want a complete tag again", got)
	}
}

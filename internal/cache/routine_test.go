package cache

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

func TestTag_T8_PeriodicChecksOnItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour, Periodic: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Forget()

	f.clock.advance(time.Hour - 1)
	f.CheckPeriodic(t.Context())
	if n := f.origin.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin was asked %d times before the interval was over", n)
	}
	f.clock.advance(time.Hour / 10) // the jitter
	f.CheckPeriodic(t.Context())
	f.expect(t, "app", "1", moved.Digest, Hit)
}

func TestTag_M5_ExpiresAfterItsLastPull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.policies.named = map[string]bool{"kept": true}
	for _, tag := range []string{"unused", "used", "kept"} {
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 1<<12))
		f.pull(t, "app", tag)
	}
	f.clock.advance(23 * time.Hour)
	f.resolve(t, "app", "used")
	eventually(t, "the pull is written down", func() bool {
		rec, err := f.store.Tag(t.Context(), repository("app"), "used")
		return err == nil && rec.PulledAt.Equal(f.clock.now())
	})
	f.clock.advance(time.Hour)
	if err := f.ExpireUnused(t.Context()); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]bool{"unused": true, "used": false, "kept": false} {
		rec, err := f.store.Tag(t.Context(), repository("app"), tag)
		if err != nil || rec.Untagged != want {
			t.Errorf("tag %s: got untagged %v (%v), want %v", tag, rec.Untagged, err, want)
		}
	}
}

// anothers stores a tag that is due for everything, and belongs to another replica until owned is set.
func (f *fixture) anothers(t *testing.T) (owned *bool) {
	t.Helper()
	owned = new(bool)
	f.options.Owns = func(imageref.Repository) bool { return *owned }
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.clock.advance(2 * time.Hour)
	return owned
}

func TestTag_T8_AnotherReplicasTagsAreNotChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour, Periodic: true})
	owned := f.anothers(t)
	for _, want := range []int{0, 1} {
		f.origin.Forget()
		f.CheckPeriodic(t.Context())
		if n := f.origin.Count(origin.Everything()); n != want {
			t.Errorf("%d requests to the origin where the tag is this replica's: %v", n, *owned)
		}
		*owned = true
	}
}

func TestExpiry_M5_AnotherReplicasTagsStay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = time.Hour
	owned := f.anothers(t)
	for range 2 {
		if err := f.ExpireUnused(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.image(t, "app:1"); got.Untagged != *owned {
			t.Errorf("untagged %v where the tag is this replica's: %v", got.Untagged, *owned)
		}
		*owned = true
	}
}

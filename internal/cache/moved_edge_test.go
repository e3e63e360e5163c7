package cache

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

func TestTag_T5_AMovedTagOfWhichNothingWasPulledMirrorsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64", "linux/s390x"))
	f.resolve(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64", "linux/s390x"))
	f.origin.Forget()
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	f.stop() // waits for what runs in the background
	if n := f.origin.Count(origin.Blobs()); n != 0 {
		t.Errorf("%d blob requests at the origin, want none: the old one had no platforms", n)
	}
}

func TestTag_T5_ABlobThatTheOriginLostDoesNotHoldTheTagBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1", "linux/amd64", "linux/arm64")
	moved := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	lost := moved.Manifests[1].Blobs[0].Digest
	f.origin.Fail(origin.Blobs().Of(string(lost)), origin.Status(http.StatusNotFound))
	f.resolve(t, "app", "1")
	eventually(t, "the mirror failed", func() bool { return f.mirrorFailed(tagKey{repository("app"), "1"}) })
	for range 20 {
		f.clock.advance(time.Minute)
		desc, o := f.resolve(t, "app", "1")
		if desc.Digest != moved.Digest {
			t.Fatalf("the origin answers, and the tag is served as it was: %+v", o)
		}
	}
}

func TestTag_T5_OurFullDiskDoesNotHoldTheTagBack(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	key := tagKey{repository("app"), "1"}
	f.mirrors.start(f.clock.now(), key) // keep the mirror away while the tag moves
	f.clock.advance(time.Hour)
	f.resolve(t, "app", "1")
	eventually(t, "the pull is written down", func() bool { return f.record(t, "1").PulledAt.Equal(f.clock.now()) })
	f.breakWrites(t)
	f.mirrors.end(f.clock.now(), key, nil)
	f.resolve(t, "app", "1")
	eventually(t, "the mirror failed", func() bool { return f.mirrorFailed(key) })
	for range 5 {
		f.clock.advance(time.Minute)
		desc, o := f.resolve(t, "app", "1")
		if desc.Digest != moved.Digest {
			t.Fatalf("the origin answers, and the tag is served as it was: %+v", o)
		}
	}
}

func TestTag_T5_ATagThatMovesAgainWhileItsMirrorRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, Periodic: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	first := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	hang := f.origin.Fail(origin.Blobs().Of(string(first.Blobs[0].Digest)), origin.Hang())
	f.clock.advance(2 * time.Minute)
	f.CheckPeriodic(t.Context())
	hang.Await(t, 1)
	second := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(2 * time.Minute)
	f.CheckPeriodic(t.Context())
	hang.Heal()
	eventually(t, "the second revision is mirrored", func() bool {
		rec, err := f.store.Tag(t.Context(), repository("app"), "1")
		return err == nil && rec.Complete == second.Digest
	})
}

func TestTag_T8_AFailedMirrorIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, Periodic: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	fault := f.origin.Fail(origin.Blobs(), origin.Status(http.StatusNotFound))
	f.clock.advance(2 * time.Minute)
	f.CheckPeriodic(t.Context())
	eventually(t, "the mirror failed", func() bool { return f.mirrorFailed(tagKey{repository("app"), "1"}) })
	fault.Heal()
	eventually(t, "the mirror", func() bool {
		f.clock.advance(2 * time.Minute)
		f.CheckPeriodic(t.Context())
		rec, err := f.store.Tag(t.Context(), repository("app"), "1")
		return err == nil && rec.Complete == moved.Digest
	})
}

func TestTag_T5_TheRevisionOfAnotherRegistryIsInTheHistory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.stop()
	if err := os.RemoveAll(filepath.Join(f.data, "docker/registry/v2/repositories/reg.example/app/_larder/tags")); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	rec, err := f.store.Tag(t.Context(), repository("app"), "1")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(rec.History, func(r store.Revision) bool { return r.Digest == old.Digest }) {
		t.Errorf("the old revision is not in the history: %+v", rec.History)
	}
}

func TestTag_M4_ATombstoneFallsBackOnTheCompleteRevision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute})
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	f.clock.advance(time.Minute)
	f.resolve(t, "app", "1")
	eventually(t, "the mirror failed", func() bool { return f.mirrors.failed(tagKey{repository("app"), "1"}) })
	f.clock.advance(48 * time.Hour)
	f.expireAll(t)
	f.origin.Refuse()
	f.expect(t, "app", "1", old.Digest, Stale)
}

func TestMirror_P1_BringsInTheRevisionThatTheTagIsAt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	old := f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	fault := f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	f.clock.advance(time.Hour)
	f.resolve(t, "app", "1")
	eventually(t, "the mirror failed", func() bool { return f.mirrors.failed(tagKey{repository("app"), "1"}) })
	fault.Heal()
	f.clock.advance(time.Minute)
	f.mirrors.start(f.clock.now(), tagKey{repository("app"), "1"}) // the background one is slow
	out := f.mirror(t, "app:1")
	if out.Digest != moved.Digest {
		t.Errorf("got %s (the old one: %v), want %s", out.Digest, out.Digest == old, moved.Digest)
	}
}

// awaitMirror waits until no mirror of a moved tag runs.
func (f *fixture) awaitMirror(t *testing.T, key tagKey) {
	t.Helper()
	eventually(t, "the mirror ended", func() bool {
		f.mirrors.mu.Lock()
		defer f.mirrors.mu.Unlock()
		return !f.mirrors.running[key]
	})
}

// mirrorFailed says whether the last mirror of a moved tag failed, by whosever fault.
func (f *fixture) mirrorFailed(key tagKey) bool {
	f.mirrors.mu.Lock()
	defer f.mirrors.mu.Unlock()
	return !f.mirrors.retry[key].at.IsZero()
}

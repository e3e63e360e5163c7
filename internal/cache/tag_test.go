package cache

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

func TestTag_T1_ColdTagWaitsForNoLayer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.origin.Fail(origin.Blobs(), origin.Hang())

	outcome := f.expect(t, "app", "1", img.Digest, Miss)
	if !outcome.Stored {
		t.Error("the manifest was not stored")
	}
	f.expect(t, "app", "1", img.Digest, Hit)
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked %d times for the manifest, want once", n)
	}
	if n := f.origin.Count(origin.Blobs()); n != 0 {
		t.Errorf("the origin was asked %d times for blobs, want never: a pull mirrors nothing by itself", n)
	}
}

func TestTag_T2_WithoutAPolicyServedForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(10 * 365 * 24 * time.Hour)
	if outcome := f.expect(t, "app", "1", old.Digest, Hit); outcome.TTL >= 0 {
		t.Errorf("got a time to live of %s, want none", outcome.TTL)
	}
}

func TestTag_T3_FollowsAfterTheIntervalAndNotBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))

	f.clock.advance(time.Hour - time.Second)
	if outcome := f.expect(t, "app", "1", old.Digest, Hit); outcome.TTL != time.Second {
		t.Errorf("got a time to live of %s, want 1s", outcome.TTL)
	}
	f.restart(t)
	f.expect(t, "app", "1", old.Digest, Hit)
	f.clock.advance(time.Second)
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	f.expect(t, "app", "1", moved.Digest, Hit)
}

func TestTag_T3_OneAnsweredCheckHoweverManyAsk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Forget()

	for range 3 {
		f.clock.advance(time.Hour)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { f.resolve(t, "app", "1") })
		}
		wg.Wait()
		f.restart(t)
		f.expect(t, "app", "1", img.Digest, Hit)
	}
	if n := f.origin.Count(origin.Manifests()); n != 3 {
		t.Errorf("the origin was asked %d times in three intervals, want 3", n)
	}
}

func TestTag_T3_ZeroChecksAtEveryRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	for range 3 {
		moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
		f.expect(t, "app", "1", moved.Digest, Revalidated)
	}
}

func TestTag_T5_UnchangedCostsOneHead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Forget()
	f.expect(t, "app", "1", img.Digest, Revalidated)
	if heads, all := f.origin.Count(origin.Manifests().By("HEAD")), f.origin.Count(origin.Everything()); heads != 1 || all != 1 {
		t.Errorf("got %d HEADs of %d requests, want one HEAD", heads, all)
	}
}

func TestTag_T5_UnchangedWithoutADigestHeaderCostsOneGet(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Fail(origin.Manifests(), origin.NoDigestHeader())
	f.origin.Forget()
	f.expect(t, "app", "1", img.Digest, Revalidated)
	if n := f.origin.Count(origin.Manifests().By("GET")); n != 1 {
		t.Errorf("got %d GETs, want one", n)
	}
}

func TestTag_T7_ADigestIsNeverChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", string(img.Digest))
	f.origin.Refuse()
	f.clock.advance(1000 * time.Hour)
	f.restart(t)
	f.expect(t, "app", string(img.Digest), img.Digest, Hit)
	f.pull(t, "app", string(img.Digest))
}

func TestTag_T10_MaxStaleBoundsT6(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, MaxStale: time.Hour})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Fail(origin.Manifests(), origin.Status(http.StatusServiceUnavailable))

	f.clock.advance(time.Hour)
	f.expect(t, "app", "1", img.Digest, Stale)
	f.clock.advance(time.Second)
	_, _, err := f.ResolveManifest(t.Context(), repository("app"), "1")
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusBadGateway {
		t.Errorf("got the error %v, want 502", err)
	}
	f.origin.Heal()
	f.expect(t, "app", "1", img.Digest, Revalidated)
}

func TestTag_M4_ATombstoneIsServedWhereTheOriginFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(24 * time.Hour)
	if err := f.ExpireUnused(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.origin.Refuse()
	f.expect(t, "app", "1", img.Digest, Stale)
	f.origin.Heal()
	f.clock.advance(failureHold)
	f.expect(t, "app", "1", img.Digest, Miss)
	f.expect(t, "app", "1", img.Digest, Hit)
}

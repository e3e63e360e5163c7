package cache

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
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

func TestTag_T6_AFailingCheckNeverFailsTheClient(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail    func(*origin.Origin)
		why     string
		oneTag  bool // only the tag is at fault
		request bool // the first request waits for the check
	}{
		"hanging":  {func(o *origin.Origin) { o.Fail(origin.Manifests().Of("1"), origin.Hang()) }, "timeout", false, true},
		"refusing": {func(o *origin.Origin) { o.Refuse() }, "unreachable", false, true},
		"500":      {failing(http.StatusInternalServerError), "500", false, true},
		"503":      {failing(http.StatusServiceUnavailable), "503", false, true},
		"429":      {failing(http.StatusTooManyRequests), "429", false, true},
		"401":      {failing(http.StatusUnauthorized), "401", true, true},
		"403":      {failing(http.StatusForbidden), "403", true, true},
		"404":      {failing(http.StatusNotFound), "404", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.policies.set(Policy{Check: true})
			img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			other := f.origin.Push(t, "app:2", origin.RandomImage(1, 1<<12))
			f.pull(t, "app", "1")
			f.pull(t, "app", "2")
			if name == "hanging" {
				f.restartImpatient(t)
			} else {
				f.restart(t)
			}
			test.fail(f.origin)
			f.origin.Forget()

			for range 20 {
				if outcome := f.expect(t, "app", "1", img.Digest, Stale); outcome.Why != test.why {
					t.Errorf("got the reason %q, want %q", outcome.Why, test.why)
				}
			}
			if n := f.origin.Count(origin.Manifests().Of("1")); n > 1 {
				t.Errorf("the origin was asked %d times while checks are held, want once", n)
			}
			want := Stale
			if test.oneTag {
				want = Revalidated
			}
			f.expect(t, "app", "2", other.Digest, want)
		})
	}
}

func failing(status int) func(*origin.Origin) {
	return func(o *origin.Origin) { o.Fail(origin.Manifests().Of("1"), origin.Status(status)) }
}

func TestTag_T6_TheBreakerClosesWhenAProbeIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	old := f.pull(t, "app", "1")
	f.restartImpatient(t)
	hang := f.origin.Fail(origin.Manifests(), origin.Hang())
	f.expect(t, "app", "1", old, Stale)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	hang.Heal() // the check runs on, and its late answer counts
	eventually(t, "the tag follows, and is checked again", func() bool {
		desc, outcome := f.resolve(t, "app", "1")
		return desc.Digest == moved.Digest && outcome.Kind == Revalidated
	})
}

func TestTag_T6_HoldsGrowAndOneCheckProbes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Fail(origin.Manifests(), origin.Status(http.StatusBadGateway))
	f.origin.Forget()
	f.expect(t, "app", "1", img.Digest, Stale)
	for probes, hold := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		f.clock.advance(hold*time.Second - 1)
		f.expect(t, "app", "1", img.Digest, Stale)
		if n := f.origin.Count(origin.Manifests()); n != probes+1 {
			t.Fatalf("%d checks before the hold of %ds was over, want %d", n, hold, probes+1)
		}
		f.clock.advance(1)
		f.expect(t, "app", "1", img.Digest, Stale)
		eventually(t, "the probe ended", func() bool { return f.idle() })
		if n := f.origin.Count(origin.Manifests()); n != probes+2 {
			t.Fatalf("%d checks after the hold of %ds, want %d", n, hold, probes+2)
		}
	}
}

func (f *fixture) idle() bool {
	f.checks.mu.Lock()
	defer f.checks.mu.Unlock()
	return len(f.checks.running) == 0
}

func TestTag_T6_RetryAfterHoldsTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	fault := f.origin.Fail(origin.Manifests(), origin.Status(http.StatusTooManyRequests, "Retry-After", "120"))
	f.expect(t, "app", "1", img.Digest, Stale)
	fault.Heal()
	f.clock.advance(119 * time.Second)
	f.expect(t, "app", "1", img.Digest, Stale)
	f.clock.advance(time.Second)
	f.expect(t, "app", "1", img.Digest, Revalidated)
}

func TestTag_T6_HoldsNeverRefuseWhatIsNotCached(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	cold := f.origin.Push(t, "app:2", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Fail(origin.Manifests().Of("1"), origin.Status(http.StatusServiceUnavailable))
	f.expect(t, "app", "1", img.Digest, Stale)
	f.expect(t, "app", "2", cold.Digest, Miss)
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

func TestTag_T9_TheOriginsAnswersAreTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail       func(*origin.Origin)
		code       Code
		status     int
		retryAfter time.Duration
	}{
		"404":      {failing(http.StatusNotFound), CodeManifestUnknown, http.StatusNotFound, 0},
		"401":      {failing(http.StatusUnauthorized), CodeDenied, http.StatusForbidden, 0},
		"403":      {failing(http.StatusForbidden), CodeDenied, http.StatusForbidden, 0},
		"500":      {failing(http.StatusInternalServerError), CodeUnavailable, http.StatusBadGateway, 0},
		"refusing": {func(o *origin.Origin) { o.Refuse() }, CodeUnavailable, http.StatusBadGateway, 0},
		"429": {func(o *origin.Origin) {
			o.Fail(origin.Manifests(), origin.Status(http.StatusTooManyRequests, "Retry-After", "7"))
		}, CodeTooManyRequests, http.StatusTooManyRequests, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			test.fail(f.origin)
			for range 3 {
				_, _, err := f.ResolveManifest(t.Context(), repository("app"), "1")
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("got the error %v, want a *cache.Error", err)
				}
				if e.Code != test.code || e.Status != test.status || e.RetryAfter != test.retryAfter {
					t.Errorf("got %s, status %d, retry after %s, want %s, %d, %s",
						e.Code, e.Status, e.RetryAfter, test.code, test.status, test.retryAfter)
				}
			}
			if n := f.origin.Count(origin.Manifests()); n > 1 {
				t.Errorf("the origin was asked %d times for what it had just refused, want once", n)
			}
			f.origin.Heal()
			f.clock.advance(deniedHold)
			f.resolve(t, "app", "1")
		})
	}
}

func TestTag_T9_AMissIsCoalesced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	hang := f.origin.Fail(origin.Manifests(), origin.Hang())
	var mu sync.Mutex
	kinds := map[Kind]int{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, outcome := f.resolve(t, "app", "1")
			mu.Lock()
			defer mu.Unlock()
			kinds[outcome.Kind]++
		})
	}
	hang.Await(t, 1)
	hang.Heal()
	wg.Wait()
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	if kinds[Miss] != 1 || kinds[Miss]+kinds[Collapsed]+kinds[Hit] != 50 {
		t.Errorf("got outcomes %v, want one miss", kinds)
	}
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

func TestTag_T8_AnotherReplicasTagsAreNotChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour, Periodic: true})
	owned := false
	f.options.Owns = func(imageref.Repository) bool { return owned }
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.clock.advance(2 * time.Hour)
	for _, want := range []int{0, 1} {
		f.origin.Forget()
		f.CheckPeriodic(t.Context())
		if n := f.origin.Count(origin.Everything()); n != want {
			t.Errorf("%d requests to the origin where the tag is this replica's: %v", n, owned)
		}
		owned = true
	}
}

func TestExpiry_M5_AnotherReplicasTagsStay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = time.Hour
	owned := false
	f.options.Owns = func(imageref.Repository) bool { return owned }
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.clock.advance(2 * time.Hour)
	for range 2 {
		if err := f.ExpireUnused(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.image(t, "app:1"); got.Untagged != owned {
			t.Errorf("untagged %v where the tag is this replica's: %v", got.Untagged, owned)
		}
		owned = true
	}
}

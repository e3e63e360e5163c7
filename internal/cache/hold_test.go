package cache

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

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

package cache

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// An interval of 0s is what a pod with `imagePullPolicy: Always` means: the newest if the origin answers, what we have if not.
func TestTag_T6_AlwaysIsTheNewestOrWhatWeHave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	var newest origin.Image
	for range 3 {
		newest = f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
		f.expect(t, "app", "1", newest.Digest, Revalidated)
		f.pullDigest(t, "app", newest.Descriptor)
	}
	f.restartImpatient(t)
	hanging := f.origin.Fail(origin.Everything(), origin.Hang())
	for pull := range 3 {
		began := time.Now()
		f.expect(t, "app", "1", newest.Digest, Stale)
		if took := time.Since(began); took > 10*time.Second { // a check runs for longer
			t.Errorf("pull %d while the origin hangs took %s", pull+1, took)
		}
		f.checkTimeout = time.Hour // the others do not wait at all
	}
	hanging.Heal()
	eventually(t, "the check to be over", f.idle)
	f.origin.Refuse()
	f.clock.advance(time.Minute)
	f.expect(t, "app", "1", newest.Digest, Stale)
	f.origin.Heal()
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(2 * time.Minute)
	eventually(t, "the tag followed again", func() bool {
		desc, _ := f.resolve(t, "app", "1")
		return desc.Digest == moved.Digest
	})
}

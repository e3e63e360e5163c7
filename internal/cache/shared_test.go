package cache

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/s3"
)

func TestShared_ATagThatIsKnownDoesNotWaitForTheStorage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.CheckTimeout = 300 * time.Millisecond
	meter := f.share(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.clock.advance(time.Minute)
	meter.Hold()
	key := tagKey{repository("app"), "1"}
	st, err := f.tagState(t.Context(), key) // would wait for ever
	if err != nil || st.rec.Load().Digest != img.Digest {
		t.Errorf("got %v, want what is known", err)
	}
}

func TestShared_AWriteKeepsWhatAnotherReplicaWroteJustNow(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	f.share(t)
	other.storage, other.data = f.storage, f.data
	other.storage.Data = t.TempDir()
	other.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	other.untag(t, "app:1")
	key := tagKey{repository("app"), "1"}
	err := f.updateTag(t.Context(), key, func(r *store.TagRecord) bool {
		r.ChangedAt = f.clock.now()
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := f.options.Store.Tag(t.Context(), key.repo, key.tag); err != nil || !rec.Untagged {
		t.Errorf("got %+v, %v; want that the tag stays removed", rec, err)
	}
}

// twoReplicas are two caches on one bucket, before one origin; the first reaches the bucket through a meter.
func twoReplicas(t *testing.T) (first, second *fixture, meter *s3.Meter) {
	t.Helper()
	first, second = newFixture(t), newFixture(t)
	meter = first.share(t)
	second.origin, second.clock, second.options.Now = first.origin, first.clock, first.clock.now
	second.storage, second.data = first.storage, first.data
	second.storage.Data = t.TempDir()
	second.storage.Parameters = maps.Clone(first.storage.Parameters)
	second.storage.Parameters["regionendpoint"] = s3.Shared(t).Endpoint
	for _, f := range []*fixture{first, second} {
		f.policies.set(Policy{Check: true, Interval: time.Minute})
	}
	second.restart(t)
	return first, second, meter
}

func (f *fixture) stored(t *testing.T, key tagKey) store.TagRecord {
	t.Helper()
	rec, err := f.options.Store.Tag(t.Context(), key.repo, key.tag)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestShared_TheNewerCheckIsTheStoredOneInTheEnd(t *testing.T) {
	t.Parallel()
	f, other, _ := twoReplicas(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	key := tagKey{repository("app"), "1"}
	older := f.stored(t, key)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(time.Minute)
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	// The other one had read the record before, and writes it now.
	if err := other.options.Store.PutTag(t.Context(), key.repo, key.tag, older); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(10 * time.Second)
	f.expect(t, "app", "1", moved.Digest, Hit)
	eventually(t, "the newer record to be stored", func() bool { return f.stored(t, key).Digest == moved.Digest })
	other.expect(t, "app", "1", moved.Digest, Hit)
}

func TestShared_AnAnswerThatComesLateMovesNoTagBack(t *testing.T) {
	t.Parallel()
	f, other, _ := twoReplicas(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	answered := f.clock.now()
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(time.Minute)
	other.expect(t, "app", "1", moved.Digest, Revalidated)
	key := tagKey{repository("app"), "1"}
	late := f.origin.Push(t, "app:old", origin.RandomImage(1, 1<<12))
	if err := f.moveTag(t.Context(), key, late.Descriptor, arrival{f.removals.now(), answered}); err != nil {
		t.Fatal(err)
	}
	if got := f.stored(t, key).Digest; got != moved.Digest {
		t.Errorf("the tag is at %s, want what the later answer said, %s", got, moved.Digest)
	}
}

func TestShared_APartitionedReplicaServesWhatItKnowsAndTakesBackNothing(t *testing.T) {
	t.Parallel()
	f, other, meter := twoReplicas(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	meter.Cut()
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.clock.advance(10 * time.Second)
	f.expect(t, "app", "1", img.Digest, Hit)
	f.clock.advance(time.Minute)
	other.expect(t, "app", "1", moved.Digest, Revalidated) // and the other goes on
	if _, _, err := f.ResolveManifest(t.Context(), repository("app"), "1"); err != nil {
		t.Errorf("partitioned: %v", err)
	}
	meter.Mend()
	f.clock.advance(10 * time.Second)
	f.expect(t, "app", "1", moved.Digest, Hit)
	key := tagKey{repository("app"), "1"}
	if got := other.stored(t, key).Digest; got != moved.Digest {
		t.Errorf("the tag is at %s after the partition, want %s", got, moved.Digest)
	}
}

// Between what a replica reads of a tag and what it writes, another one pins the tag, or unpins it.
func TestShared_APinOutlivesALateAnswerOfAnotherReplica(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pinned bool // before
		decide func(f *fixture, t *testing.T, old digest.Digest)
		killed bool // the replica that decided it, at once
		held   string
	}{
		"Pinned":                {decide: pinsApp, held: HeldPinned},
		"Pinned, and killed":    {decide: pinsApp, held: HeldPinned, killed: true},
		"Let go":                {pinned: true, decide: unpinsApp},
		"Let go, and killed":    {pinned: true, decide: unpinsApp, killed: true},
		"Removed with its pin":  {pinned: true, decide: func(f *fixture, t *testing.T, _ digest.Digest) { f.untag(t, "app:1") }},
		"Pinned to another one": {pinned: true, decide: func(f *fixture, t *testing.T, old digest.Digest) { unpinsApp(f, t, old); pinsApp(f, t, old) }, held: HeldPinned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, other, meter := twoReplicas(t)
			all := f.moves(t, 2)
			if tt.pinned {
				f.pinTo(t, "app:1", all[0])
			}
			moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12)).Digest
			f.clock.advance(time.Minute)
			reached, release := meter.Delay(writesRecord)
			defer release()
			checked := make(chan error, 1)
			go func() { checked <- f.Check(t.Context(), reference(t, "app:1")) }()
			<-reached
			f.clock.advance(time.Second)
			tt.decide(other, t, all[0])
			if tt.killed {
				other.stop()
			}
			release()
			if err := <-checked; err != nil {
				t.Fatal(err)
			}
			key, want := tagKey{repository("app"), "1"}, moved
			if tt.held != "" {
				want = all[0]
			}
			if rec := f.stored(t, key); (rec.Pin.By != "") != (tt.held != "") || tt.held != "" && (rec.Digest != want || rec.Upstream != moved) {
				t.Errorf("the record is %+v, want what was decided, and that the origin has %s", rec, moved)
			}
			agreed := func(f *fixture) {
				t.Helper()
				f.clock.advance(f.store.RecordTTL())
				if _, outcome := f.resolve(t, "app", "1"); outcome.Held != tt.held {
					t.Errorf("the tag is held by %q, want %q", outcome.Held, tt.held)
				}
				f.clock.advance(time.Minute)
				eventually(t, "the tag to be where it is to be", func() bool {
					desc, outcome := f.resolve(t, "app", "1")
					return desc.Digest == want && outcome.Held == tt.held
				})
			}
			agreed(f)
			if !tt.killed {
				agreed(other)
			}
			f.restart(t)
			agreed(f)
		})
	}
}

func pinsApp(f *fixture, t *testing.T, old digest.Digest) { f.pinTo(t, "app:1", old) }
func unpinsApp(f *fixture, t *testing.T, _ digest.Digest) { f.unpin(t, "app:1") }

// writesRecord says whether a request writes the record of a tag.
func writesRecord(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/_larder/tags/1/record")
}

// One process may have had the bucket for itself for some time.
func TestShared_APinThatWasLetGoAloneDoesNotComeBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.share(t)
	all := f.moves(t, 2)
	f.pinTo(t, "app:1", all[0])
	f.storage.Exclusive = true
	f.restart(t)
	f.unpin(t, "app:1")
	f.storage.Exclusive = false
	f.restart(t)
	for range 2 {
		f.clock.advance(time.Hour)
		f.held(t, all[1], "")
	}
}

// A replica that pins a tag writes it from what it read, too.
func TestShared_APinTakesNoAnswerBack(t *testing.T) {
	t.Parallel()
	f, other, meter := twoReplicas(t)
	all := f.moves(t, 2)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12)).Digest
	f.clock.advance(time.Minute)
	reached, release := meter.Delay(writesRecord)
	defer release()
	pinned := make(chan error, 1)
	go func() {
		pinned <- f.Pin(t.Context(), reference(t, "app:1"), Pin{Digest: all[0], By: store.ByHand}, nil)
	}()
	<-reached
	f.clock.advance(time.Minute)
	if err := other.Check(t.Context(), reference(t, "app:1")); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-pinned; err != nil {
		t.Fatal(err)
	}
	f.clock.advance(f.store.RecordTTL())
	other.held(t, all[0], HeldPinned)
	key := tagKey{repository("app"), "1"}
	eventually(t, "the pin and the answer to be stored", func() bool {
		rec := f.stored(t, key)
		return rec.Digest == all[0] && rec.Pin.By == store.ByHand && rec.Upstream == moved
	})
}

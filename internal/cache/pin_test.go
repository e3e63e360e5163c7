package cache

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
)

func (f *fixture) pinTo(t *testing.T, image string, dgst digest.Digest) {
	t.Helper()
	if err := f.Pin(t.Context(), reference(t, image), Pin{Digest: dgst, By: store.ByHand}, nil); err != nil {
		t.Fatalf("pinning %s to %s: %v", image, dgst, err)
	}
}

func (f *fixture) unpin(t *testing.T, image string) {
	t.Helper()
	if err := f.Unpin(t.Context(), reference(t, image), store.ByHand); err != nil {
		t.Fatalf("unpinning %s: %v", image, err)
	}
}

// held resolves a tag and fails the test where something else holds it.
func (f *fixture) held(t *testing.T, want digest.Digest, by string) {
	t.Helper()
	desc, outcome := f.resolve(t, "app", "1")
	if desc.Digest != want || outcome.Held != by {
		t.Errorf("got %s, held by %q; want %s, held by %q", desc.Digest, outcome.Held, want, by)
	}
}

func TestPin_ServedUntilItIsUnpinnedWhileChecksGoOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	f.pinTo(t, "app:1", all[0])
	f.held(t, all[0], HeldPinned)
	f.clock.advance(time.Hour)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.held(t, all[0], HeldPinned)
	got := f.image(t, "app:1")
	if got.Digest != all[0] || got.Upstream != moved.Digest || !got.CheckedAt.Equal(f.clock.now()) || !got.Complete || got.Pin.By != store.ByHand {
		t.Errorf("got %+v, want the pinned revision, and what the origin has", got)
	}
	if got := f.history(t); got[0].Cause != store.Pinned || !got[0].LastSeen.Equal(f.clock.now()) {
		t.Errorf("got the history %+v, want it pinned, and seen now", got)
	}
	if n := f.origin.Count(origin.Blobs().Of(moved.Blobs[1].Digest.String())); n > 0 {
		t.Error("a layer was mirrored that nobody is served with")
	}
	f.restart(t)
	f.held(t, all[0], HeldPinned)

	f.policies.set(Policy{}) // nothing but the end of the pin moves it
	f.unpin(t, "app:1")
	f.held(t, moved.Digest, "")
	if got := f.history(t); got[0].Cause != store.Unpinned || got[1].Cause != store.Pinned {
		t.Errorf("got the history %+v, want it unpinned", got)
	}
	eventually(t, "the mirror", func() bool { return f.record(t, "1").Complete == moved.Digest })
}

func (f *fixture) history(t *testing.T) []store.Revision { return f.record(t, "1").History }

func TestPin_UnpinnedWithoutItsOriginServesTheLastCompleteRevision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	f.pinTo(t, "app:1", all[0])
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.held(t, all[0], HeldPinned)
	f.sweep(t, 0)
	f.origin.Refuse()
	f.unpin(t, "app:1")
	f.policies.set(Policy{})
	eventually(t, "the mirror failed", func() bool { return f.mirrors.failed(tagKey{repository("app"), "1"}) })
	if outcome := f.expect(t, "app", "1", all[0], Stale); outcome.Why != "incomplete" {
		t.Errorf("got the reason %q, want incomplete", outcome.Why)
	}
	f.origin.Heal()
	eventually(t, "the new revision", func() bool {
		f.clock.advance(time.Minute)
		desc, _ := f.resolve(t, "app", "1")
		return desc.Digest == moved.Digest
	})
}

func TestPin_ToWhatTheOriginAloneHasBringsItInFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	next := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1", "linux/arm64")
	f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	err := f.Pin(t.Context(), reference(t, "app:1"), Pin{Digest: old.Digest, By: store.ByHand}, nil)
	if err == nil || !originFailed(err) {
		t.Errorf("got %v, want that the origin failed", err)
	}
	f.held(t, next.Digest, "")
	f.origin.Heal()
	f.clock.advance(time.Minute)
	f.pinTo(t, "app:1", old.Digest)
	f.origin.Refuse()
	f.sweep(t, 0)
	f.held(t, old.Digest, HeldPinned)
	child, _ := f.resolve(t, "app", string(old.Manifests[1].Digest))
	f.pullDigest(t, "app", child)
	if _, err := f.store.LinkedManifest(t.Context(), repository("app"), old.Manifests[0].Digest); err == nil {
		t.Error("a platform was brought in that the tag did not have")
	}
}

func TestPin_ToWhatNobodyHasChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.moves(t, 1)
	before := f.record(t, "1")
	err := f.Pin(t.Context(), reference(t, "app:1"), Pin{Digest: digest.FromString("nothing"), By: store.ByHand}, nil)
	if up, ok := errors.AsType[*upstream.Error](err); !ok || up.Reason != upstream.NotFound {
		t.Errorf("got %v, want that the origin does not have it", err)
	}
	if after := f.record(t, "1"); after.Digest != before.Digest || after.Pin != before.Pin || len(after.History) != 1 {
		t.Errorf("the record was %+v and is %+v", before, after)
	}
	f.held(t, all[0], "")
	if err := f.Unpin(t.Context(), reference(t, "app:1"), store.ByHand); !errors.Is(err, ErrNotPinned) {
		t.Errorf("got %v, want that it is not pinned", err)
	}
}

func TestPin_WithTheOriginDownWhatIsStoredForAPlatformWillDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	old := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1", "linux/amd64")
	f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1", "linux/amd64", "linux/arm64")
	f.origin.Refuse()
	f.pinTo(t, "app:1", old.Digest)
	f.held(t, old.Digest, HeldPinned)
	child, _ := f.resolve(t, "app", string(old.Manifests[0].Digest))
	f.pullDigest(t, "app", child)
}

func TestPin_OfATagThatNobodyPulledYet(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pinTo(t, "app:1", old.Digest)
	f.held(t, old.Digest, HeldPinned)
	if got := f.image(t, "app:1"); got.Upstream != "" {
		t.Errorf("got %+v, want that nobody knows what the origin has", got)
	}
	f.unpin(t, "app:1")
	eventually(t, "the check", func() bool { return f.image(t, "app:1").Digest == moved.Digest })
}

func TestPin_AnotherPinAndWhatTheOriginHasToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 3)
	f.pinTo(t, "app:1", all[0])
	f.pinTo(t, "app:1", all[1])
	f.held(t, all[1], HeldPinned)
	f.pinTo(t, "app:1", all[2])
	f.held(t, all[2], HeldPinned)
	if got := f.image(t, "app:1"); got.Upstream != all[2] {
		t.Errorf("got %+v, want the pinned revision to be the origin's", got)
	}
	length := len(f.history(t))
	f.unpin(t, "app:1")
	f.held(t, all[2], "")
	if got := f.history(t); len(got) != length {
		t.Errorf("got %+v, want no entry for a pin that held nothing", got)
	}
}

func TestPin_AnObjectsIsNotAPersonsToChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	ref := reference(t, "app:1")
	f.pinTo(t, "app:1", all[1])
	if err := f.Pin(t.Context(), ref, Pin{Digest: all[0], By: store.ByObject}, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Pin(t.Context(), ref, Pin{Digest: all[1], By: store.ByHand}, nil); !errors.Is(err, ErrPinnedByObject) {
		t.Errorf("pinning: got %v", err)
	}
	if err := f.Unpin(t.Context(), ref, store.ByHand); !errors.Is(err, ErrPinnedByObject) {
		t.Errorf("unpinning: got %v", err)
	}
	f.held(t, all[0], HeldPinned)
	if err := f.Unpin(t.Context(), ref, store.ByObject); err != nil {
		t.Error(err)
	}
	f.held(t, all[1], "")
}

func TestPin_NeitherExpiresNorIsEvictedNorRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = time.Hour
	f.restart(t)
	all := f.moves(t, 1)
	f.pinTo(t, "app:1", all[0])
	f.clock.advance(24 * time.Hour)
	if err := errors.Join(f.ExpireUnused(t.Context()), f.Evict(t.Context(), Limit{High: 2, Low: 1})); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), reference(t, "app:1")); err == nil {
		t.Error("it could be removed")
	}
	f.origin.Refuse()
	f.pull(t, "app", "1")
	f.unpin(t, "app:1")
	f.untag(t, "app:1")
	f.expect(t, "app", "1", all[0], Stale) // a tombstone
}

func TestPin_RemovedWithItsTag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	f.pinTo(t, "app:1", all[0])
	f.untag(t, "app:1")
	f.held(t, all[1], "")
}

func TestPin_AnImportDoesNotMoveIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 1)
	f.pinTo(t, "app:1", all[0])
	from := newFixture(t)
	img := from.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	from.mirror(t, "app:1")
	ignore := func(imageref.Reference, digest.Digest) {}
	if err := f.Import(t.Context(), from.layoutOf(t, img, "app:1"), ignore); err == nil {
		t.Error("a pinned tag was moved by an import")
	}
	f.held(t, all[0], HeldPinned)
	f.unpin(t, "app:1")
	if err := f.Import(t.Context(), from.layoutOf(t, img, "app:1"), ignore); err != nil {
		t.Fatal(err)
	}
	if got := f.history(t)[0]; got.Digest != img.Digest || got.Cause != store.Imported || !got.CompleteAt.Equal(f.clock.now()) {
		t.Errorf("got %+v, want it imported and complete", got)
	}
}

func TestPin_ReplicasShareIt(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	f.share(t)
	other.storage, other.data, other.clock, other.options.Now, other.origin = f.storage, f.data, f.clock, f.options.Now, f.origin
	other.storage.Data = t.TempDir()
	other.restart(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	other.held(t, all[1], "")
	f.pinTo(t, "app:1", all[0])
	f.clock.advance(f.store.RecordTTL())
	other.held(t, all[0], HeldPinned)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.held(t, all[0], HeldPinned)
	other.unpin(t, "app:1")
	f.clock.advance(f.store.RecordTTL())
	f.held(t, moved.Digest, "")
}

func TestImmutable_NeverMovesAndTellsOnceForEachDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Immutable: true})
	content := origin.RandomImage(1, 1<<12)
	img := f.origin.Push(t, "app:1", content)
	f.pull(t, "app", "1")
	moves := 0.0
	check := func(upstream digest.Digest, by string, told float64) {
		t.Helper()
		f.clock.advance(time.Minute)
		f.held(t, img.Digest, by)
		if got := f.image(t, "app:1"); got.Digest != img.Digest || got.Upstream != upstream || got.Moved != (by != "") || !got.CheckedAt.Equal(f.clock.now()) {
			t.Errorf("got %+v, want the origin to have %s", got, upstream)
		}
		moves += told
		if got := testutil.ToFloat64(f.options.Metrics.ImmutableMoves); got != moves {
			t.Errorf("%v moves were counted, want %v", got, moves)
		}
	}
	check(img.Digest, "", 0)
	for range 2 {
		moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
		check(moved.Digest, HeldImmutable, 1)
		check(moved.Digest, HeldImmutable, 0)
		if n := f.origin.Count(origin.Manifests().By(http.MethodGet)); n != 1 {
			t.Errorf("%d manifests were fetched, want that of the first pull alone", n)
		}
		f.restart(t)
		moves = 0
		check(moved.Digest, HeldImmutable, 0)
	}
	f.origin.Push(t, "app:1", content)
	check(img.Digest, "", 0)
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	check(moved.Digest, HeldImmutable, 1)

	f.policies.set(Policy{Check: true})
	f.held(t, moved.Digest, "")
	if got := f.history(t)[0]; got.Cause != store.Checked {
		t.Errorf("got %+v, want it moved by a check", got)
	}
}

func TestImmutable_UnpinnedIsWhatItWas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	all := f.moves(t, 2)
	f.policies.set(Policy{Check: true, Immutable: true})
	f.pinTo(t, "app:1", all[0])
	f.held(t, all[0], HeldPinned)
	if f.image(t, "app:1").Moved {
		t.Error("said to be moved, although its origin has what it was")
	}
	moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.held(t, all[0], HeldPinned)
	if got := f.image(t, "app:1"); !got.Moved || got.Upstream != moved.Digest {
		t.Errorf("got %+v, want it said to be moved", got)
	}
	f.unpin(t, "app:1")
	f.held(t, all[1], HeldImmutable)
}

func TestImmutable_AnImportDoesNotMoveIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Immutable: true})
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	from := newFixture(t)
	other := from.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	from.mirror(t, "app:1")
	if err := f.Import(t.Context(), from.layoutOf(t, other, "app:1"), func(imageref.Reference, digest.Digest) {}); err == nil {
		t.Error("an immutable tag was moved by an import")
	}
	f.held(t, img.Digest, "")
}

package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

// record reads a tag's record from the store.
func (f *fixture) record(t *testing.T, tag string) store.TagRecord {
	t.Helper()
	rec, err := f.options.Store.Tag(t.Context(), repository("app"), tag)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// moves pushes n revisions of app:1, each checked and brought in whole an hour after the one before.
func (f *fixture) moves(t *testing.T, n int) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for range n {
		f.clock.advance(time.Hour)
		img := f.origin.Push(t, "app:1", origin.RandomImage(1, 16<<10))
		f.mirror(t, "app:1")
		all = append(all, img.Digest)
	}
	return all
}

func digestsOf(history []store.Revision) []digest.Digest {
	var all []digest.Digest
	for _, revision := range history {
		all = append(all, revision.Digest)
	}
	return all
}

func TestHistory_WhatTheTagWasSinceWhenAndWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	began := f.clock.now()
	content := origin.RandomImage(1, 1<<12)
	first := f.origin.Push(t, "app:1", content)
	f.resolve(t, "app", "1")
	f.clock.advance(time.Minute)
	f.pull(t, "app", "1")
	f.clock.advance(time.Minute)
	second := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.resolve(t, "app", "1")
	eventually(t, "the mirror", func() bool { return !f.record(t, "1").History[0].CompleteAt.IsZero() })
	f.clock.advance(time.Minute)
	f.origin.Push(t, "app:1", content)
	f.resolve(t, "app", "1")
	eventually(t, "the mirror", func() bool { return !f.record(t, "1").History[0].CompleteAt.IsZero() })

	at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	want := []store.Revision{
		{Digest: first.Digest, FirstSeen: at(3), LastSeen: at(3), CompleteAt: at(3), Cause: store.Checked},
		{Digest: second.Digest, FirstSeen: at(2), LastSeen: at(2), CompleteAt: at(2), Cause: store.Checked},
		{Digest: first.Digest, FirstSeen: at(0), LastSeen: at(1), CompleteAt: at(2), Cause: store.Pulled},
	}
	f.restart(t)
	if got := f.image(t, "app:1").History; !slices.EqualFunc(got, want, sameRevision) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func sameRevision(a, b store.Revision) bool {
	return a.Digest == b.Digest && a.Cause == b.Cause && a.FirstSeen.Equal(b.FirstSeen) && a.LastSeen.Equal(b.LastSeen) && a.CompleteAt.Equal(b.CompleteAt)
}

func TestHistory_FoundWholeByAnInventoryIsComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.resolve(t, "app", "1")
	if got := f.image(t, "app:1").History[0].CompleteAt; !got.IsZero() {
		t.Errorf("complete at %v, before a layer is stored", got)
	}
	f.pull(t, "app", "1")
	f.clock.advance(time.Minute)
	for range 2 {
		if got := f.image(t, "app:1").History[0].CompleteAt; !got.Equal(f.clock.now()) {
			t.Errorf("complete at %v, want %v", got, f.clock.now())
		}
		f.restart(t)
	}
}

func TestHistory_TheLimitIsThePolicys(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{0: 5, 1: 2, 3: 3} { // of one that just moved, the last complete revision is kept too
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.policies.set(Policy{Check: true, HistoryLimit: limit})
			all := f.moves(t, 7)
			slices.Reverse(all)
			if got := digestsOf(f.record(t, "1").History); !slices.Equal(got, all[:want]) {
				t.Errorf("got %v, want %v", got, all[:want])
			}
		})
	}
}

func TestHistory_WhatIsInUseIsKeptBeyondTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, HistoryLimit: 2})
	index := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	used := map[digest.Digest]bool{index.Manifests[1].Digest: true} // a pod runs the digest of its platform
	f.options.Keeps = func(_ imageref.Repository, dgst digest.Digest) bool { return used[dgst] }
	f.restart(t)
	f.mirror(t, "app:1")
	byDigest := f.moves(t, 1)[0]
	used[byDigest] = true
	all := f.moves(t, 4)
	want := []digest.Digest{all[3], all[2], byDigest, index.Digest}
	if got := digestsOf(f.record(t, "1").History); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	clear(used)
	last := f.moves(t, 1)[0]
	if got, want := digestsOf(f.record(t, "1").History), []digest.Digest{last, all[3]}; !slices.Equal(got, want) {
		t.Errorf("with nobody using them: got %v, want %v", got, want)
	}
}

func TestHistory_GoingBackNeedsNoOriginAfterASweep(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, HistoryLimit: 3})
	all := f.moves(t, 5)
	f.sweep(t, 0)
	f.origin.Refuse()
	f.restart(t)
	for _, dgst := range all[2:] {
		f.pinTo(t, "app:1", dgst)
		if got := f.pull(t, "app", "1"); got != dgst {
			t.Errorf("got %s, want %s", got, dgst)
		}
	}
	f.wantUnknown(t, "app", string(all[0]))
}

func TestHistory_ASizeLimitTakesItAfterImagesThatNobodyUses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.named = map[string]bool{"1": true}
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:loose", origin.RandomImage(1, 64<<10))
	f.mirror(t, "app:loose")
	all := f.moves(t, 5) // 16 KiB each
	if err := f.Evict(t.Context(), Limit{High: 100 << 10, Low: 96 << 10}); err != nil {
		t.Fatal(err)
	}
	_, err := f.Image(t.Context(), reference(t, "app:loose"), nil)
	if got := f.record(t, "1").History; !errors.Is(err, store.ErrNotFound) || len(got) != 5 {
		t.Errorf("got %d revisions, want all five, and the image that nobody uses gone (%v)", len(got), err)
	}
	f.pinTo(t, "app:1", all[1])
	if err := f.Evict(t.Context(), Limit{High: 60 << 10, Low: 54 << 10}); err != nil {
		t.Fatal(err)
	}
	got := f.record(t, "1").History // pinned, before that, the youngest of the others, and what is pinned again
	want := []digest.Digest{all[1], all[4], all[3], all[1]}
	if !slices.Equal(digestsOf(got), want) {
		t.Errorf("got %v, want %v", digestsOf(got), want)
	}
	if err := f.Evict(t.Context(), Limit{High: 2, Low: 1}); err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(f.options.Metrics.StoreCrowded); got != 1 {
		t.Errorf("store_over_limit is %v, want 1", got)
	}
	f.origin.Refuse()
	f.pull(t, "app", "1")
	f.pull(t, "app", string(all[4]))
	f.wantUnknown(t, "app", string(all[3]))
}

func TestHistory_RecordsOfAnOlderLarderAreRead(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.stop()
	old, err := json.Marshal(map[string]any{
		"digest": img.Digest, "mediaType": img.MediaType, "size": img.Size, "complete": img.Digest, "checkedAt": f.clock.now(),
		"changedAt": f.clock.now(), "pulledAt": f.clock.now(),
		"history": []map[string]any{{"digest": img.Digest, "firstSeen": f.clock.now(), "lastSeen": f.clock.now(), "cause": "pull"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.data, "docker/registry/v2/repositories", host, "app/_larder/tags/1/record")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	if got := f.image(t, "app:1"); got.Digest != img.Digest || got.Upstream != img.Digest || got.History[0].Cause != store.Pulled || got.Pin.By != "" {
		t.Errorf("got %+v", got)
	}
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.policies.set(Policy{Check: true})
	f.mirror(t, "app:1")
	f.pinTo(t, "app:1", img.Digest)
	f.expect(t, "app", "1", img.Digest, Revalidated)
}

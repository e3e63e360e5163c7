package cache

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
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

package cache

import (
	"testing"
	"time"

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

package cache

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

func TestTag_T5_TheNewRevisionIsMirrored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1", "linux/arm64")
	moved := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64", "linux/s390x"))
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	eventually(t, "the mirror", func() bool {
		rec, err := f.store.Tag(t.Context(), repository("app"), "1")
		return err == nil && rec.Complete == moved.Digest
	})
	for _, child := range moved.Manifests {
		_, err := f.store.LinkedManifest(t.Context(), repository("app"), child.Digest)
		if stored, want := err == nil, platformName(*child.Platform) == "linux/arm64"; stored != want {
			t.Errorf("platform %+v: stored %v, want %v: the platforms that the old one had", *child.Platform, stored, want)
		}
	}
	f.origin.Refuse()
	f.expect(t, "app", "1", moved.Digest, Stale)
}

func TestTag_T5_TheLastCompleteRevisionWhileTheOriginFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	old := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.pull(t, "app", "1")
	moved := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.origin.Fail(origin.Blobs(), origin.Status(http.StatusServiceUnavailable))
	f.clock.advance(time.Hour)
	f.resolve(t, "app", "1") // the check moves the tag, and the layers do not come
	eventually(t, "the mirror failed", func() bool { return f.mirrors.failed(tagKey{repository("app"), "1"}) })
	f.origin.Refuse()

	if outcome := f.expect(t, "app", "1", old.Digest, Stale); outcome.Why != "incomplete" {
		t.Errorf("got the reason %q, want incomplete", outcome.Why)
	}
	f.restart(t)
	f.expect(t, "app", "1", old.Digest, Stale)
	f.pull(t, "app", "1")

	f.origin.Heal()
	f.clock.advance(time.Hour) // holds and remembered failures are over, and a check is due
	eventually(t, "the new revision", func() bool {
		f.clock.advance(time.Minute)
		desc, _ := f.resolve(t, "app", "1")
		return desc.Digest == moved.Digest
	})
}

func TestTag_T5_ANewRevisionWithoutTheOldPlatformIsFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64"))
	f.mirror(t, "app:1", "linux/amd64")
	moved := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/arm64"))
	f.expect(t, "app", "1", moved.Digest, Revalidated)
	f.origin.Refuse()
	f.expect(t, "app", "1", moved.Digest, Stale)
}

func (f *fixture) mirror(t *testing.T, image string, platforms ...string) Mirrored {
	t.Helper()
	ref, err := imageref.Parse(host + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.Mirror(t.Context(), ref, platforms, nil)
	if err != nil {
		t.Fatalf("mirroring %s: %v", image, err)
	}
	return out
}

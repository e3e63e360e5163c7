package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// flip flips a bit of a stored blob.
func (f *fixture) flip(t *testing.T, dgst digest.Digest) {
	t.Helper()
	name := filepath.Join(f.data, "docker/registry/v2/blobs/sha256", dgst.Encoded()[:2], dgst.Encoded(), "data")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// scrub looks at the whole store.
func (f *fixture) scrub(t *testing.T) {
	t.Helper()
	for range 256 {
		next, err := f.Scrub(t.Context(), 256*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		f.clock.advance(next.Sub(f.clock.now()))
	}
}

func TestScrub_B5_RepairsFromTheOrigin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.mirror(t, "app:1")
	f.flip(t, img.Blobs[1].Digest)
	f.flip(t, img.Digest)
	f.restart(t) // nothing in memory helps
	f.scrub(t)
	f.origin.Refuse()
	f.pull(t, "app", "1")
	if got := testutil.ToFloat64(f.options.Metrics.ScrubbedBad.WithLabelValues("repaired")); got != 2 {
		t.Errorf("%v were counted as repaired, want 2", got)
	}
}

func TestScrub_B5_WhatIsBadIsNotServedWhileTheOriginIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	f.mirror(t, "app:1")
	f.flip(t, img.Blobs[1].Digest)
	f.origin.Refuse()
	f.scrub(t)
	if _, _, err := f.read(t, "app", img.Blobs[1].Digest); err == nil {
		t.Error("a blob that is known as bad was served")
	}
	if got := testutil.ToFloat64(f.options.Metrics.ScrubbedBad.WithLabelValues("lost")); got != 1 {
		t.Errorf("%v were counted as lost, want 1", got)
	}
	f.origin.Heal()
	f.clock.advance(time.Minute)
	f.pull(t, "app", "1")
}

package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
)

func (f *fixture) sweep(t *testing.T, grace time.Duration) store.SweepReport {
	t.Helper()
	report, err := f.Sweep(t.Context(), grace, false)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantUnknown fails the test where a manifest is still served although the origin is gone.
func (f *fixture) wantUnknown(t *testing.T, path, ref string) {
	t.Helper()
	if desc, outcome, err := f.ResolveManifest(t.Context(), repository(path), ref); err == nil {
		t.Errorf("%s:%s is served as %s, %+v; want that it is gone", path, ref, desc.Digest, outcome)
	}
}

func TestSweep_M4_ARemovedImageIsServedUntilItIsSwept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.SweepGrace = time.Hour
	f.restart(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(2, 1<<12))
	other := f.origin.Push(t, "app:2", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.mirror(t, "app:1")
	f.mirror(t, "app:2")
	f.untag(t, "app:1")

	if got := f.sweep(t, -1); got.Freed != (store.Swept{}) || got.Waiting.Blobs != 4 {
		t.Errorf("the first mark: got %+v, want that four blobs wait", got)
	}
	f.origin.Refuse()
	f.expect(t, "app", "1", img.Digest, Stale)
	f.clock.advance(time.Hour)
	if got := f.sweep(t, -1); got.Freed.Blobs != 4 || got.Freed.Tags != 1 {
		t.Errorf("the second mark: got %+v, want four blobs and the tag freed", got)
	}
	f.clock.advance(time.Minute) // what the origin failed to answer is remembered for less
	f.wantUnknown(t, "app", "1")
	f.wantUnknown(t, "app", string(img.Digest))
	f.pull(t, "app", "2")
	f.restart(t)
	f.pullDigest(t, "app", other.Descriptor)

	f.origin.Heal()
	f.clock.advance(time.Minute)
	f.expect(t, "app", "1", img.Digest, Miss)
	f.pullDigest(t, "app", img.Descriptor)
}

func TestSweep_M4_WhatWasPulledByDigestExpiresAsATagDoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	img := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.pull(t, "app", string(img.Digest))
	f.sweep(t, 0)
	f.clock.advance(23 * time.Hour)
	f.origin.Refuse()
	f.pull(t, "app", string(img.Digest)) // from now on it counts
	key := pullKey{repository("app"), img.Digest}
	eventually(t, "the pull to be noted", func() bool {
		content, err := f.options.Store.Document(t.Context(), key.repo, pulledDocument(key.digest))
		return err == nil && string(content) == f.clock.now().UTC().Format(time.RFC3339)
	})
	f.restart(t)
	f.clock.advance(23 * time.Hour)
	if got := f.sweep(t, 0); got.Freed != (store.Swept{}) {
		t.Errorf("swept %+v, want an image that was pulled a day ago kept", got.Freed)
	}
	f.clock.advance(2 * time.Hour)
	if got := f.sweep(t, 0); got.Freed.Blobs != 7 {
		t.Errorf("swept %+v, want seven blobs", got.Freed)
	}
	f.clock.advance(time.Minute)
	f.wantUnknown(t, "app", string(img.Digest))
}

func TestSweep_M4_KeepsWhatAnObjectNamesByDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = time.Hour
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.options.Keeps = func(_ imageref.Repository, dgst digest.Digest) bool { return dgst == img.Digest }
	f.restart(t)
	f.mirror(t, "app@"+string(img.Digest))
	f.clock.advance(2 * time.Hour)
	f.sweep(t, 0)
	f.origin.Refuse()
	f.pull(t, "app", string(img.Digest))
}

func TestSweep_B6_WhatWasSweptHereIsNotServedFromAnotherRepository(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	image := origin.RandomImage(1, 1<<12)
	f.origin.Push(t, "app:1", image)
	img := f.origin.Push(t, "other:1", image)
	f.mirror(t, "app:1")
	f.mirror(t, "other:1")
	f.untag(t, "app:1")
	f.sweep(t, 0)
	f.pull(t, "other", "1")
	f.origin.Refuse()
	for _, blob := range img.Blobs {
		if _, _, err := f.read(t, "app", blob.Digest); err == nil {
			t.Errorf("blob %s is served in a repository to which it does not belong any more", blob.Digest)
		}
	}
}

func wantErrorWith(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got error %v, want one that says %q", err, says)
	}
}

func TestRemove_M4_RefusesWhatWouldComeBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Push(t, "app:kept", origin.RandomImage(1, 1<<12))
	f.policies.named = map[string]bool{"kept": true}
	f.mirror(t, "app:1")
	f.mirror(t, "app:kept")
	for image, want := range map[string]string{
		"app:kept":                  "a CachedImage names it",
		"app@" + string(img.Digest): "the tag 1 names it",
		"app:2":                     "not in the store",
	} {
		wantErrorWith(t, f.Remove(t.Context(), reference(t, image)), want)
	}
	if err := f.Remove(t.Context(), reference(t, "app:1")); err != nil {
		t.Fatal(err)
	}
	wantErrorWith(t, f.Remove(t.Context(), reference(t, "app:1")), "removed already")
}

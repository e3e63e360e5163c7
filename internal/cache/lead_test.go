package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

func TestLead_OnlyTheLeaderDeletesFromASharedStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.share(t)
	all := map[string]func(context.Context) error{
		"sweep": func(ctx context.Context) error { _, err := f.Sweep(ctx, time.Hour, false); return err },
		"evict": func(ctx context.Context) error { return f.Evict(ctx, Limit{}) },
		"scrub": func(ctx context.Context) error { _, err := f.Scrub(ctx, time.Hour); return err },
	}
	want := func(when string, want error) {
		t.Helper()
		for name, do := range all {
			if err := do(t.Context()); !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, want %v", when, name, err, want)
			}
		}
	}
	want("before", store.ErrShared)
	f.Lead(t.Context(), func(context.Context) { want("as the leader", nil) })
	want("afterwards", store.ErrShared)
	if _, err := f.Sweep(t.Context(), time.Hour, true); err != nil {
		t.Errorf("looking alone: %v", err)
	}
}

func TestLead_WhatDeletesEndsWithIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	meter := f.share(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	meter.Hold()
	meter.Take()
	ctx, lose := context.WithCancel(t.Context())
	swept := make(chan error, 1)
	f.Lead(ctx, func(context.Context) {
		go func() { // as larder sweep would
			_, err := f.Sweep(context.Background(), time.Hour, false)
			swept <- err
		}()
		meter.Await(t, "GET", 1)
		lose()
	})
	select {
	case err := <-swept:
		if err == nil {
			t.Error("the sweep ended well without an answer of the storage")
		}
	case <-time.After(patience):
		t.Error("the sweep goes on when another may lead")
	}
}

// doom has another process's sweep be about to delete a path of the store.
func (f *fixture) doom(t *testing.T, path string) (over func()) {
	t.Helper()
	key := sha256.Sum256([]byte(path))
	head := fmt.Sprintf(`{"version":1,"at":%q,"count":1}`, time.Now().Format(time.RFC3339))
	file := filepath.Join(f.data, "larder/sweep/doomed")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, append([]byte(head+"\n"), key[:16]...), 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShared_M4_ATagThatComesBackOutlivesTheSweepThatDeletesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.share(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	f.untag(t, "app:1")
	record := "docker/registry/v2/repositories/reg.example/app/_larder/tags/1/record"
	over := f.doom(t, "/"+record)
	f.pull(t, "app", "1")
	if err := os.Remove(filepath.Join(f.data, record)); err != nil { // as the sweep does now
		t.Fatal(err)
	}
	over()
	f.expect(t, "app", "1", img.Digest, Hit)
	key := tagKey{repository("app"), "1"}
	eventually(t, "the tag to be stored again", func() bool {
		rec, err := f.options.Store.Tag(t.Context(), key.repo, key.tag)
		return err == nil && rec.Digest == img.Digest && !rec.Untagged
	})
}

func TestShared_M4_WhatASweepDeletesCountsAsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.share(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.mirror(t, "app:1")
	layer := img.Blobs[1].Digest
	over := f.doom(t, "/docker/registry/v2/blobs/sha256/"+layer.Encoded()[:2]+"/"+layer.Encoded()+"/data")
	eventually(t, "the sweep to be seen", func() bool {
		_, err := f.Mirror(t.Context(), reference(t, "app:1"), nil, nil)
		return errors.Is(err, store.ErrDoomed)
	})
	blob, _, err := f.Blob(t.Context(), repository("app"), layer, fetch.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	verifier := layer.Verifier()
	if _, err := blob.WriteTo(verifier); err != nil || !verifier.Verified() {
		t.Errorf("a client does not get it: %v", err)
	}
	over()
	eventually(t, "the sweep to be seen to be over", func() bool {
		_, err := f.Mirror(t.Context(), reference(t, "app:1"), nil, nil)
		return err == nil
	})
}

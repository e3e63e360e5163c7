package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var redis = imageref.Repository{Host: "docker.io", Path: "library/redis"}

// world is a store in which a sweep finds much to do, and writers that keep to the order that internal/cache keeps to: a manifest, its tag,
// then a look whether the manifest is there; a blob's link, then a look whether the blob is there.
type world struct {
	*testing.T
	store    *Store     // of the writers
	sweeper  *Store     // another process's, or the same
	tags     sync.Mutex // the lock of a tag
	sweeping sync.Mutex // held while the sweep runs

	current image // of the tag 1
	old     image // of no tag any more
	removed image // of the tag 0, which is a tombstone
	words   map[digest.Digest]string
	whole   map[imageref.Repository][]image // what must be there in the end
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := steppedStore(t)
	return furnish(&world{T: t, store: s, sweeper: s})
}

// newSharedWorld is one in which another process sweeps.
func newSharedWorld(t *testing.T) *world {
	t.Helper()
	s, sweeper := sharedStores(t)
	return furnish(&world{T: t, store: s, sweeper: sweeper})
}

func furnish(w *world) *world {
	t := w.T
	t.Helper()
	w.words, w.whole = map[digest.Digest]string{}, map[imageref.Repository][]image{}
	w.current = w.put(nginx, "config", "shared layer")
	w.old = w.put(nginx, "old config", "shared layer", "old layer")
	w.removed = w.put(nginx, "removed config", "removed layer")
	putTag(t, w.store, nginx, "1", w.record(w.current))
	tombstone := w.record(w.removed)
	tombstone.Untagged = true
	putTag(t, w.store, nginx, "0", tombstone)
	w.whole[nginx] = []image{w.current}
	return w
}

func (w *world) put(repo imageref.Repository, words ...string) image {
	for _, word := range words {
		w.words[digest.FromString(word)] = word
	}
	return putImage(w, w.store, repo, nil, words...)
}

func (w *world) record(img image) TagRecord {
	return TagRecord{Digest: img.desc.Digest, MediaType: img.desc.MediaType, Size: img.desc.Size, Complete: img.desc.Digest}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

func (w *world) sweep(ctx context.Context) {
	w.sweeping.Lock()
	defer w.sweeping.Unlock()
	o := w.options()
	if w.sweeper == w.store {
		o.Bury = func(_ imageref.Repository, _ string, remove func() error) error {
			w.tags.Lock()
			defer w.tags.Unlock()
			return remove()
		}
	}
	_, err := w.sweeper.Sweep(ctx, o)
	w.must(err)
}

func (w *world) options() SweepOptions {
	return SweepOptions{Sole: w.sweeper != w.store, wait: func(context.Context, time.Duration) error { return nil }}
}

// write does again what a sweep has doomed, once that is over.
func (w *world) write(do func() error) {
	w.Helper()
	err := do()
	for errors.Is(err, ErrDoomed) {
		w.sweeping.Lock()
		w.sweeping.Unlock() //nolint:staticcheck // it is over
		err = do()
	}
	w.must(err)
}

func (w *world) putManifest(ctx context.Context, repo imageref.Repository, img image) {
	w.Helper()
	w.write(func() error { return w.store.PutManifest(ctx, repo, img.desc, img.body) })
}

// name is what a pull or a check of a tag does with a manifest.
func (w *world) name(ctx context.Context, repo imageref.Repository, tag string, img image) {
	w.putManifest(ctx, repo, img)
	w.write(func() error {
		w.tags.Lock()
		defer w.tags.Unlock()
		return w.store.PutTag(ctx, repo, tag, w.record(img))
	})
	_, err := w.store.LinkedManifest(ctx, repo, img.desc.Digest)
	if err == nil {
		_, err = w.store.StatBlob(ctx, img.desc.Digest)
	}
	if errors.Is(err, ErrNotFound) {
		w.putManifest(ctx, repo, img)
	} else {
		w.must(err)
	}
	w.whole[repo] = append(w.whole[repo], img)
}

// bring has the blobs of an image stored and linked, from the origin where they are not.
func (w *world) bring(ctx context.Context, repo imageref.Repository, img image) {
	for _, dgst := range img.blobs {
		for linked := false; !linked; {
			if _, err := w.store.StatBlob(ctx, dgst); err != nil {
				w.commit(ctx, dgst)
			}
			w.must(w.store.LinkBlob(ctx, repo, ocispec.Descriptor{Digest: dgst, Size: int64(len(w.words[dgst]))}))
			_, err := w.store.StatBlob(ctx, dgst)
			linked = err == nil
		}
	}
}

func (w *world) commit(ctx context.Context, dgst digest.Digest) {
	w.write(func() error {
		sp, err := w.store.NewSpool(dgst, int64(len(w.words[dgst])))
		if err != nil {
			return err
		}
		defer sp.Discard()
		_, err = sp.Write([]byte(w.words[dgst]))
		return errors.Join(err, sp.Commit(ctx))
	})
}

// imageOf is an image that is not stored yet.
func (w *world) imageOf(words ...string) image {
	elsewhere := steppedStore(w.T)
	for _, word := range words {
		w.words[digest.FromString(word)] = word
	}
	return putImage(w, elsewhere, nginx, nil, words...)
}

func (w *world) fetch(ctx context.Context) {
	img := w.imageOf("new config", "new layer")
	w.name(ctx, nginx, "2", img)
	w.bring(ctx, nginx, img)
}

func (w *world) linkOld(ctx context.Context) {
	img := w.imageOf("new config", "old layer")
	w.name(ctx, nginx, "2", img)
	w.bring(ctx, nginx, img)
}

func (w *world) moveBack(ctx context.Context) {
	w.name(ctx, nginx, "1", w.old)
	w.bring(ctx, nginx, w.old)
	w.whole[nginx] = w.whole[nginx][1:] // the tag has left the other: a record without a history
}

func (w *world) mirrorOld(ctx context.Context) {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{w.old.desc}}
	index.SchemaVersion = 2
	elsewhere := steppedStore(w.T)
	desc, body := putJSON(w, elsewhere, nginx, index.MediaType, index)
	w.name(ctx, nginx, "multi", image{desc: desc, body: body})
	w.putManifest(ctx, nginx, w.old)
	w.bring(ctx, nginx, w.old)
	w.whole[nginx] = append(w.whole[nginx], w.old)
}

// revive is what a mirror does with a tag that was removed: the image again, then the tag, then once more what a sweep may have taken.
func (w *world) revive(ctx context.Context) {
	w.putManifest(ctx, nginx, w.removed)
	w.bring(ctx, nginx, w.removed)
	w.name(ctx, nginx, "0", w.removed)
	w.bring(ctx, nginx, w.removed)
}

func (w *world) firstPull(ctx context.Context) {
	w.name(ctx, redis, "1", w.old)
	w.bring(ctx, redis, w.old)
}

func (w *world) remove(ctx context.Context) {
	rec := w.record(w.current)
	rec.Untagged = true
	w.must(w.store.PutTag(ctx, nginx, "1", rec))
	w.whole[nginx] = nil
}

// pull reads what a tag names: all of it is there, whatever else goes on.
func (w *world) pull(ctx context.Context) {
	rec, err := w.store.Tag(ctx, nginx, "1")
	w.must(err)
	_, _, err = w.store.ReadManifest(ctx, nginx, rec.Digest)
	w.must(err)
	for _, dgst := range w.current.blobs {
		_, err := w.store.LinkedBlob(ctx, nginx, dgst)
		w.must(err)
		w.wantBytes(ctx, dgst)
	}
}

func (w *world) wantBytes(ctx context.Context, dgst digest.Digest) {
	w.Helper()
	blob, err := w.store.OpenBlob(ctx, dgst, -1)
	if err != nil {
		w.Error(err)
		return
	}
	defer blob.Close()
	content, err := io.ReadAll(blob)
	w.must(err)
	if digest.FromBytes(content) != dgst {
		w.Errorf("blob %s is %q", dgst, content)
	}
}

// check says whether all that is reachable is there and right, also after another sweep, and nothing else is left after that.
func (w *world) check() {
	w.Helper()
	left := map[digest.Digest]bool{}
	for range 2 {
		for repo, images := range w.whole {
			for _, img := range images {
				wantImage(w, w.store, repo, img, true)
				left[img.desc.Digest] = true
				for _, dgst := range img.blobs {
					left[dgst] = true
					w.wantBytes(w.Context(), dgst)
				}
			}
		}
		if w.Failed() {
			return
		}
		sweepNow(w, w.sweeper, w.options())
	}
	for _, name := range []string{"config", "shared layer", "old config", "old layer", "removed config", "removed layer"} {
		dgst := digest.FromString(name)
		if _, err := w.store.StatBlob(w.Context(), dgst); (err == nil) != left[dgst] {
			w.Errorf("blob of the %s: %v, want it stored: %v", name, err, left[dgst])
		}
	}
}

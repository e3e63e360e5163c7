package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
)

// tree is one image that is being mirrored.
type tree struct {
	cache     *Cache
	repo      imageref.Repository
	platforms []string // the wanted ones; none: all
	lenient   bool     // an index that has none of them wants nothing
	progress  func(Progress)
	blobs     []ocispec.Descriptor
	seen      map[digest.Digest]bool

	mu     sync.Mutex
	state  Progress
	loaded int64
	errs   []error
}

// manifest brings in a manifest and those below it, and lists their blobs.
func (t *tree) manifest(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if err := ctx.Err(); err != nil || t.seen[desc.Digest] {
		return err
	}
	t.seen[desc.Digest] = true
	if depth > manifestDepth || len(t.seen) > manifestsInTree {
		return fmt.Errorf("mirroring %s: more than %d indexes deep or %d manifests", desc.Digest, manifestDepth, manifestsInTree)
	}
	var body []byte
	err := t.cache.patiently(ctx, t.repo, func() (err error) {
		var stored ocispec.Descriptor
		if stored, _, err = t.cache.resolveDigest(ctx, t.repo, desc.Digest); err == nil {
			body, err = t.cache.Manifest(ctx, t.repo, desc)
		}
		if err == nil { // it may be in memory alone, where the store had no room or lost it
			err = t.cache.store.PutManifest(ctx, t.repo, stored, body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("mirroring manifest %s: %w", desc.Digest, err)
	}
	size := int64(len(body))
	t.advance(size, size, 0)
	m, err := manifest.Parse(body)
	if err != nil {
		return fmt.Errorf("mirroring manifest %s: %w", desc.Digest, err)
	}
	for _, d := range m.Blobs() {
		if !t.seen[d.Digest] {
			t.seen[d.Digest] = true
			t.blobs = append(t.blobs, d)
			t.advance(0, d.Size, 0)
		}
	}
	return t.children(ctx, m, depth)
}

func (t *tree) children(ctx context.Context, m manifest.Manifest, depth int) error {
	wanted := wantedOf(m, t.platforms)
	if len(wanted) == 0 && len(m.Manifests) > 0 && !t.lenient {
		return fmt.Errorf("%w: it has %v, not %v", ErrNoPlatform, platformsIn(m), t.platforms)
	}
	var errs []error
	for _, d := range wanted {
		if err := t.manifest(ctx, d, depth+1); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// wantedOf lists the manifests of an index that a mirror of some platforms wants; of none: all.
func wantedOf(m manifest.Manifest, platforms []string) []ocispec.Descriptor {
	if len(platforms) == 0 {
		return m.Manifests
	}
	var wanted []ocispec.Descriptor
	for _, d := range m.Manifests {
		if asked(d, platforms) {
			wanted = append(wanted, d)
		}
	}
	return wanted
}

func platformsIn(m manifest.Manifest) []string {
	var names []string
	for _, d := range m.Manifests {
		if d.Platform != nil {
			names = append(names, platformName(*d.Platform))
		}
	}
	return names
}

// blob brings in one blob, unless it is stored (M2).
func (t *tree) blob(ctx context.Context, d ocispec.Descriptor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b, err := t.cache.openStored(ctx, t.repo, d); err == nil {
		b.Close()
		t.advance(d.Size, 0, 0)
		return nil
	}
	arrived := int64(0)
	return t.cache.patiently(ctx, t.repo, func() error {
		t.advance(-arrived, 0, -arrived) // what a failed attempt had counted
		arrived = 0
		return t.cache.fetches.Fetch(ctx, t.repo, d, func(n int64) {
			arrived += n
			t.advance(n, 0, n)
		})
	})
}

func (t *tree) advance(done, total, loaded int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Done += done
	t.state.Total += total
	t.loaded += loaded
	if t.progress != nil {
		t.progress(t.state)
	}
}

func (t *tree) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}

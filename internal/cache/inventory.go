package cache

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

// inventory looks at what is stored of an image. It wants what a mirror of the image would bring in, no more and no less: where
// nothing is lacking, a mirror finds nothing to do.
type inventory struct {
	cache     *Cache
	repo      imageref.Repository
	platforms []string // the wanted ones; none: all
	seen      map[digest.Digest]bool
	size      int64
	lacking   bool
}

// manifest looks at a manifest, its blobs and the manifests below it. It returns an error where the store cannot tell.
func (v *inventory) manifest(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if v.seen[desc.Digest] {
		return nil
	}
	v.seen[desc.Digest] = true
	if depth > manifestDepth || len(v.seen) > manifestsInTree || !storable(desc.Digest) {
		v.lacking = true
		return nil
	}
	body, err := v.cache.storedManifest(ctx, v.repo, desc.Digest)
	if err != nil {
		v.size += max(desc.Size, 0)
		return v.lacks(err)
	}
	v.size += int64(len(body))
	m, err := manifest.Parse(body)
	v.lacking = v.lacking || err != nil // no mirror can go on from there
	for _, d := range m.Blobs() {
		if err := v.blob(ctx, d); err != nil {
			return err
		}
	}
	return v.below(ctx, m, depth)
}

func (v *inventory) below(ctx context.Context, m manifest.Manifest, depth int) error {
	wanted := wantedOf(m, v.platforms)
	if len(wanted) == 0 && len(m.Manifests) > 0 {
		v.lacking = true
	}
	for _, d := range wanted {
		if err := v.manifest(ctx, d, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *inventory) blob(ctx context.Context, desc ocispec.Descriptor) error {
	if v.seen[desc.Digest] {
		return nil
	}
	v.seen[desc.Digest] = true
	v.size += desc.Size
	if !storable(desc.Digest) {
		v.lacking = true
		return nil
	}
	size, err := v.cache.store.StatBlob(ctx, desc.Digest)
	if err != nil {
		return v.lacks(err)
	}
	v.lacking = v.lacking || size != desc.Size
	return nil
}

// lacks notes what is not stored; any other error is no news of the image.
func (v *inventory) lacks(err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	v.lacking = true
	return nil
}

func storable(dgst digest.Digest) bool {
	_, err := imageref.ParseDigest(string(dgst))
	return err == nil
}

// storedManifest reads a manifest of repo that is stored in its full size. What memory holds of it is not read again, and what is
// read is not held: an inventory of everything would leave no room there for what is pulled.
func (c *Cache) storedManifest(ctx context.Context, repo imageref.Repository, dgst digest.Digest) ([]byte, error) {
	if body, ok := c.bodies.peek(dgst); ok {
		if _, err := c.store.LinkedManifest(ctx, repo, dgst); err != nil {
			return nil, err
		}
		if size, err := c.store.StatBlob(ctx, dgst); err != nil || size == int64(len(body)) {
			return body, err
		}
	}
	body, _, err := c.store.ReadManifest(ctx, repo, dgst)
	return body, err
}

package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Image is what the cache knows of an image by itself.
type Image struct {
	Digest    digest.Digest // the revision that is served; while a new one is not complete, the last complete one (T5)
	Upstream  digest.Digest // the revision that the origin named last; for an image by digest, that digest
	Complete  bool          // whether every blob of the wanted platforms of Digest is stored
	Size      int64         // bytes of the wanted manifests and blobs of Digest, as far as the stored manifests tell
	CheckedAt time.Time     // the last answered check; zero for an image by digest
	ChangedAt time.Time     // when the tag last moved; zero for an image by digest
	Untagged  bool          // removed, and served only where the origin fails

	// Problem is why the last check since the start of the process was not answered, at ProblemAt; nil where it was, or there was none.
	// It is an *Error where the origin failed.
	Problem   error
	ProblemAt time.Time
}

// Image says what is known of an image without asking its origin; store.ErrNotFound where that is nothing. Platforms are those that
// Complete and Size are about, as in Mirror. Blobs are looked for in the store at every call, so that one that was lost or truncated
// behind our back makes the image incomplete (M3). Where the store cannot tell, the error is its own.
func (c *Cache) Image(ctx context.Context, ref imageref.Reference, platforms []string) (Image, error) {
	if ref.Digest != "" {
		return c.imageByDigest(ctx, ref, platforms)
	}
	st, err := c.tagState(ctx, tagKey{ref.Repository, ref.Tag})
	if err != nil {
		return Image{}, fmt.Errorf("looking for image %s: %w", ref, err)
	}
	rec := st.rec.Load()
	img := Image{Upstream: rec.Digest, CheckedAt: rec.CheckedAt, ChangedAt: rec.ChangedAt, Untagged: rec.Untagged}
	if p := st.problem.Load(); p != nil {
		img.Problem, img.ProblemAt = p.err, p.at
	}
	return c.withInventory(ctx, img, ref, c.servable(ctx, ref.Repository, rec), platforms)
}

func (c *Cache) imageByDigest(ctx context.Context, ref imageref.Reference, platforms []string) (Image, error) {
	desc, err := c.store.LinkedManifest(ctx, ref.Repository, ref.Digest)
	if err != nil {
		return Image{}, fmt.Errorf("looking for image %s: %w", ref, err)
	}
	return c.withInventory(ctx, Image{Upstream: ref.Digest}, ref, desc, platforms)
}

// servable is the revision that a tag can be served with while its origin fails: T5.
func (c *Cache) servable(ctx context.Context, repo imageref.Repository, rec *store.TagRecord) ocispec.Descriptor {
	if rec.Complete != "" && rec.Complete != rec.Digest && c.gap(ctx, repo, rec.Digest, rec.Platforms) != nil {
		if complete, err := c.store.LinkedManifest(ctx, repo, rec.Complete); err == nil {
			return complete
		}
	}
	return descriptorOf(rec)
}

func (c *Cache) withInventory(
	ctx context.Context, img Image, ref imageref.Reference, desc ocispec.Descriptor, platforms []string,
) (Image, error) {
	v := &inventory{cache: c, repo: ref.Repository, platforms: platforms, seen: map[digest.Digest]bool{}}
	if err := v.manifest(ctx, desc, 0); err != nil {
		return Image{}, fmt.Errorf("looking for image %s: %w", ref, err)
	}
	img.Digest, img.Complete, img.Size = desc.Digest, !v.lacking, v.size
	return img, nil
}

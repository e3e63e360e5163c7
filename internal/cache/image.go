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
	Evicted   bool          // Untagged since the store was larger than its limit; all else is zero where nothing of it is stored

	Pin     store.Pin        // why the tag stays at Digest; zero: it follows its origin
	Held    bool             // the tag is not pinned, but was immutable when Upstream was seen, and so does not move there
	Moved   bool             // the tag is immutable, and its origin has another revision than it is at by itself
	History []store.Revision // what the tag was, newest first; not to be changed

	// Problem is why the last check since the start of the process was not answered, at ProblemAt; nil where it was, or there was none.
	// It is an *Error where the origin failed.
	Problem   error
	ProblemAt time.Time
}

// Image says what is known of an image without asking its origin; store.ErrNotFound where that is nothing. Platforms are those that
// Complete and Size are about, as in Mirror. Blobs are looked for in the store at every call, so that one that was lost or truncated
// behind our back makes the image incomplete (M3); that all of it is there is noted in the history. The record, too, is the stored one, of
// which another replica may have made a tombstone just now. Where the store cannot tell, the error is its own.
func (c *Cache) Image(ctx context.Context, ref imageref.Reference, platforms []string) (Image, error) {
	if ref.Digest != "" {
		return c.imageByDigest(ctx, ref, platforms)
	}
	key := tagKey{ref.Repository, ref.Tag}
	st, err := c.tagNow(ctx, key)
	if err != nil {
		return Image{}, fmt.Errorf("looking for image %s: %w", ref, err)
	}
	rec := st.rec.Load()
	if rec.Evicted && !c.holdsBlob(ctx, rec.Digest) {
		return Image{Untagged: true, Evicted: true}, nil
	}
	img := Image{
		Upstream: rec.OriginDigest(), CheckedAt: rec.CheckedAt, ChangedAt: rec.ChangedAt, Untagged: rec.Untagged, Evicted: rec.Evicted,
		Pin: rec.Pin, History: rec.History, Held: rec.Pin.By == "" && rec.Upstream != "",
	}
	img.Moved = c.policyOf(key, st).Immutable && rec.Followed() != "" && img.Upstream != "" && img.Upstream != rec.Followed()
	if p := st.problem.Load(); p != nil {
		img.Problem, img.ProblemAt = p.err, p.at
	}
	img, err = c.withInventory(ctx, img, ref, c.servable(ctx, ref.Repository, rec), platforms)
	if err == nil && img.Complete && !rec.Untagged {
		img.History = c.noteComplete(ctx, key, rec, img.Digest)
	}
	return img, err
}

// noteComplete has a tag's history say that a revision was found whole, and returns it.
func (c *Cache) noteComplete(ctx context.Context, key tagKey, rec *store.TagRecord, dgst digest.Digest) []store.Revision {
	if rec.Digest != dgst || len(rec.History) == 0 || !rec.History[0].CompleteAt.IsZero() {
		return rec.History
	}
	c.markComplete(ctx, key, dgst)
	if st, err := c.tagState(ctx, key); err == nil {
		rec = st.rec.Load()
	}
	return rec.History
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

package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Image is what the cache knows of an image by itself.
type Image struct {
	Digest    digest.Digest // the revision that is served
	Upstream  digest.Digest // the revision that the origin named last; for an image by digest, that digest
	Complete  bool          // whether every blob of the wanted platforms of Digest is stored
	Size      int64         // bytes of the wanted manifests and blobs of Digest, as far as the stored manifests tell
	CheckedAt time.Time     // the last answered check; zero for an image by digest
	ChangedAt time.Time     // when the tag last moved; zero for an image by digest
	Untagged  bool          // removed, and served only where the origin fails

	// Problem is why the last check since the start of the process was not answered, at ProblemAt; nil where it was, or there was none.
	Problem   error
	ProblemAt time.Time
}

// Image says what is known of an image without asking its origin; store.ErrNotFound where that is nothing. Platforms are those that
// Complete and Size are about, as in Mirror.
func (c *Cache) Image(ctx context.Context, ref imageref.Reference, platforms []string) (Image, error) {
	return Image{}, store.ErrNotFound
}

// Check asks the origin for a tag now, whatever its policy says and although checks may be held, and waits for the answer. A tag that
// moved is brought in as after any check (T5). An image by digest is never checked (T7): nothing happens.
func (c *Cache) Check(ctx context.Context, ref imageref.Reference) error {
	return nil
}

// Untag removes a tag (M4): what it named stays until it is swept, and is served where the origin fails. A reference by digest alone, or
// to what is not stored, is no error.
func (c *Cache) Untag(ctx context.Context, ref imageref.Reference) error {
	return nil
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Remove removes an image because a person asked for it: a tag as Untag does, or what was pulled by its digest. The error says why nothing
// was removed: store.ErrNotFound where there is no such image, else an object or a tag that would keep or bring it back.
func (c *Cache) Remove(ctx context.Context, ref imageref.Reference) error {
	ctx, end := c.bind(ctx)
	defer end()
	if err := c.removable(ctx, ref); err != nil {
		return fmt.Errorf("removing %s: %w", ref, err)
	}
	return c.Untag(ctx, ref)
}

func (c *Cache) removable(ctx context.Context, ref imageref.Reference) error {
	if ref.Digest != "" {
		return c.removableDigest(ctx, ref)
	}
	st, err := c.tagState(ctx, tagKey{ref.Repository, ref.Tag})
	if err != nil {
		return err
	}
	if st.rec.Load().Untagged {
		return fmt.Errorf("it was removed already: %w", store.ErrNotFound)
	}
	if c.policies.Named(ref.Repository, ref.Tag) {
		return errInUse
	}
	if st.rec.Load().Pin.By != "" {
		return errors.New("it is pinned: unpin it first")
	}
	return nil
}

func (c *Cache) removableDigest(ctx context.Context, ref imageref.Reference) error {
	if _, err := c.store.LinkedManifest(ctx, ref.Repository, ref.Digest); err != nil {
		return err
	}
	if c.keeps(ref.Repository, ref.Digest) {
		return errInUse
	}
	tags, err := c.store.Tags(ctx, ref.Repository)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		rec, err := c.store.Tag(ctx, ref.Repository, tag)
		if err == nil && !rec.Untagged && slices.Contains(rec.Reaches(), ref.Digest) {
			return fmt.Errorf("the tag %s names it, or did: remove that", tag)
		}
	}
	return nil
}

// errInUse is for what would come back.
var errInUse = errors.New("a CachedImage names it, or a pod uses it: delete that first")

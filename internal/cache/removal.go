package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Untag removes a tag (M4): what it named stays until it is swept, and is served where the origin fails. A pull or a mirror that begins
// afterwards brings it back; one that is under way, or a check, does not. What is not stored is no error. A reference with a digest, with
// a tag or without, is served by its digest: no tag is its own to remove, but that somebody pulled it by the digest is forgotten.
func (c *Cache) Untag(ctx context.Context, ref imageref.Reference) error {
	if ref.Digest != "" {
		return c.forgetPull(ctx, pullKey{ref.Repository, ref.Digest})
	}
	key := tagKey{ref.Repository, ref.Tag}
	return c.untag(ctx, key, func(r *store.TagRecord) {
		if !r.Untagged {
			c.log.Info("tag removed", "repository", key.repo.String(), "reference", key.tag, "digest", r.Digest)
		}
		r.Evicted = false
	})
}

// untag makes a tag a tombstone, of which note says more.
func (c *Cache) untag(ctx context.Context, key tagKey, note func(*store.TagRecord)) error {
	err := c.updateTag(ctx, key, func(r *store.TagRecord) bool {
		c.removals.add(key)
		if r.Digest == "" {
			return false
		}
		note(r)
		r.Untagged, r.PulledAt = true, time.Time{} // not pulled since: what tells it from a tag that expired
		r.Pin, r.Upstream = store.Pin{}, ""        // what comes back is what its origin has then
		return true
	})
	if err != nil {
		return fmt.Errorf("untagging %s:%s: %w", key.repo, key.tag, err)
	}
	return nil
}

// removals tells what began before a tag was removed from what began afterwards. It forgets the oldest removals where there are too many.
type removals struct {
	count atomic.Uint64
	last  *lru.Cache[tagKey, removal]
}

// removal is a moment between removals, by the number of those before it.
type removal uint64

func newRemovals() *removals {
	last, _ := lru.New[tagKey, removal](remembered) // errs for a size below one only
	return &removals{last: last}
}

// now is taken at the beginning of what may bring a tag in.
func (r *removals) now() removal { return removal(r.count.Load()) }

func (r *removals) add(key tagKey) { r.last.Add(key, removal(r.count.Add(1))) }

func (r *removals) since(key tagKey, began removal) bool {
	at, ok := r.last.Peek(key)
	return ok && at > began
}

// bringTag is updateTag for what may bring a tag in: nothing that began before the tag was removed does (M4).
func (c *Cache) bringTag(ctx context.Context, key tagKey, began removal, change func(*store.TagRecord) bool) error {
	return c.updateTag(ctx, key, func(r *store.TagRecord) bool {
		return !c.removals.since(key, began) && change(r)
	})
}

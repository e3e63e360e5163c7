package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Limit is how large the store may become. The zero value is no limit.
type Limit struct {
	High int64 // bytes of blobs from which on images are evicted; 0: no limit
	Low  int64 // to which they are evicted
}

// eviction is whom Evict asks and tells.
type eviction struct {
	spare   func(imageref.Repository, string) bool
	told    func(imageref.Reference, Image)
	crowded func(int64, Limit)
}

func newEviction(o Options) eviction {
	e := eviction{o.Spare, o.OnEvict, o.OnCrowded}
	if e.spare == nil {
		e.spare = func(imageref.Repository, string) bool { return false }
	}
	if e.told == nil {
		e.told = func(imageref.Reference, Image) {}
	}
	if e.crowded == nil {
		e.crowded = func(int64, Limit) {}
	}
	return e
}

// evictable is an image that nobody uses.
type evictable struct {
	ref      imageref.Reference
	pulledAt time.Time
}

// Evict makes room where the store has grown beyond its limit: of the images that no object names and nobody uses, and of the tags that an
// object names but nobody uses (Options.Spare), those that were pulled longest ago go first; where that is not enough, revisions of the
// others' histories that nobody uses. What they share with others stays. Where that is not enough either, it says so, and the store goes on
// growing. The caller repeats it. A shared store is the leader's (see Lead): elsewhere the error is store.ErrShared.
func (c *Cache) Evict(ctx context.Context, limit Limit) error {
	ctx, end, err := c.deleting(ctx)
	if err != nil {
		return err
	}
	defer end()
	used, err := c.store.Usage(ctx)
	if err != nil || limit.High <= 0 {
		return err
	}
	if used > limit.High { // what nothing needs goes first
		used, err = c.free(ctx, used)
	}
	if err == nil && used > limit.High {
		used, err = c.evictTo(ctx, used, limit.Low)
	}
	if err == nil && used > limit.High {
		used, err = c.evictHistory(ctx, used, limit.Low)
	}
	c.metrics.StoreBytes.Set(float64(used))
	c.crowded(err == nil && used > limit.High, used, limit)
	return err
}

// evictTo evicts until no more than low bytes are used, or no image is left that may go. What images share makes it several rounds.
func (c *Cache) evictTo(ctx context.Context, used, low int64) (int64, error) {
	images, err := c.evictables(ctx)
	if err != nil {
		return used, err
	}
	for used > low && len(images) > 0 {
		for expected := int64(0); expected < used-low && len(images) > 0; images = images[1:] {
			expected += c.evict(ctx, images[0].ref)
		}
		if used, err = c.free(ctx, used); err != nil {
			return used, err
		}
	}
	return used, nil
}

// free deletes what nothing needs, and returns how many bytes are used then; used where it could not.
func (c *Cache) free(ctx context.Context, used int64) (int64, error) {
	if _, err := c.Sweep(ctx, 0, false); err != nil {
		return used, err
	}
	left, err := c.store.Usage(ctx)
	if err != nil {
		return used, err
	}
	return left, nil
}

// evict removes an image, and returns how many bytes that may free.
func (c *Cache) evict(ctx context.Context, ref imageref.Reference) int64 {
	image, err := c.Image(ctx, ref, nil)
	if err == nil {
		c.eviction.told(ref, image)
		err = c.untagEvicted(ctx, ref)
	}
	if err != nil {
		c.log.Error(err, "evicting an image", "image", ref.String())
		return 0
	}
	c.metrics.Evictions.Inc()
	c.log.Info("image evicted", "image", ref.String(), "digest", image.Digest, "size", image.Size)
	return image.Size
}

// untagEvicted is Untag for an image that makes room. Where an object names its tag, the tombstone stays behind, until the image comes back:
// without it every replica would think that the image is yet to be brought in. What goes with the image is its history.
func (c *Cache) untagEvicted(ctx context.Context, ref imageref.Reference) error {
	if ref.Digest != "" {
		return c.Untag(ctx, ref)
	}
	return c.untag(ctx, tagKey{ref.Repository, ref.Tag}, func(r *store.TagRecord) { r.Evicted, r.History = true, nil })
}

// evictables lists the images that may go, those that were pulled longest ago first.
func (c *Cache) evictables(ctx context.Context) ([]evictable, error) {
	var images []evictable
	err := c.store.Repositories(ctx, func(repo imageref.Repository) error {
		tags, err := c.store.Tags(ctx, repo)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			rec, err := c.store.Tag(ctx, repo, tag)
			if err == nil && !rec.Untagged && rec.Pin.By == "" && (!c.policies.Named(repo, tag) || c.eviction.spare(repo, tag)) {
				images = append(images, evictable{imageref.Reference{Repository: repo, Tag: tag}, rec.PulledAt})
			}
		}
		err = c.store.Manifests(ctx, repo, func(dgst digest.Digest) error {
			at, err := c.pulledAt(ctx, pullKey{repo, dgst})
			if err == nil && !c.keeps(repo, dgst) {
				images = append(images, evictable{imageref.Reference{Repository: repo, Digest: dgst}, at})
			}
			return ctx.Err()
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	slices.SortFunc(images, func(a, b evictable) int {
		if order := a.pulledAt.Compare(b.pulledAt); order != 0 {
			return order
		}
		return strings.Compare(a.ref.String(), b.ref.String())
	})
	return images, err
}

// crowded says once that the store is beyond its limit and nothing may go, and once that it is not any more.
func (c *Cache) crowded(now bool, used int64, limit Limit) {
	before := c.isCrowded.Swap(now)
	value := 0.0
	if now {
		value = 1
		c.eviction.crowded(used, limit)
	}
	c.metrics.StoreCrowded.Set(value)
	switch {
	case now && !before:
		c.log.Error(nil, "the store is larger than its limit, and all that is left is in use: raise store.maxSize, or use less",
			"used", used, "limit", limit.High)
	case before && !now:
		c.log.Info("the store is within its limit again", "used", used, "limit", limit.High)
	}
}

package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/store"
)

// putTag writes a record. A pin that it sets or removes goes first, to a place of its own. In a store that others write to it is looked for
// there after each write: whoever writes the record from what it read before somebody pinned the tag finds the pin afterwards, and writes
// again. It changes rec then.
func (c *Cache) putTag(ctx context.Context, key tagKey, before, rec *store.TagRecord) error {
	if !pinOf(before).Same(rec.Pin) {
		if err := c.store.PutPinDecision(ctx, key.repo, key.tag, store.DecidedBy(*rec)); err != nil {
			return err
		}
	}
	for {
		if err := c.store.PutTag(ctx, key.repo, key.tag, *rec); err != nil || !c.store.Shared() {
			return err
		}
		decided, err := c.decided(ctx, key, rec)
		if err != nil || decided == rec {
			return err
		}
		c.log.Info("another replica's pin of a tag is kept", "repository", key.repo.String(), "reference", key.tag, "digest", decided.Digest)
		if *rec = *decided; rec.Complete != rec.Digest {
			c.mirrorMoved(key)
		}
	}
}

// pinOf is the pin of a record, which may be nil.
func pinOf(rec *store.TagRecord) store.Pin {
	if rec == nil {
		return store.Pin{}
	}
	return rec.Pin
}

// decided returns a record with the pin that was decided last: rec itself, where it has that.
func (c *Cache) decided(ctx context.Context, key tagKey, rec *store.TagRecord) (*store.TagRecord, error) {
	d, err := c.store.PinDecision(ctx, key.repo, key.tag)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.InForce(rec) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	to, cause := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, store.Pinned
	if d.Pin.By == "" {
		to, cause = c.followed(ctx, key, rec, to), store.Unpinned
	}
	now := *rec
	now.History = slices.Clone(rec.History)
	obey(&now, d.Pin, to, cause, c.now())
	return &now, nil
}

// followed is the revision of a tag that was let go: what its origin has, where the tag may move and that is stored, else what it was at then.
func (c *Cache) followed(ctx context.Context, key tagKey, rec *store.TagRecord, then ocispec.Descriptor) ocispec.Descriptor {
	if rec.Upstream == "" || c.policies.Policy(key.repo, key.tag).Immutable {
		return then
	}
	desc, err := c.store.LinkedManifest(ctx, key.repo, rec.Upstream)
	if err != nil {
		return then
	}
	return desc
}

// obey has a record say what was decided of its pin, and keeps what it says of the origin.
func obey(r *store.TagRecord, pin store.Pin, to ocispec.Descriptor, cause store.Cause, now time.Time) {
	origin := r.OriginDigest()
	r.Pin = pin
	if r.Digest != to.Digest {
		enter(r, to, now, cause)
	}
	if r.Upstream = origin; origin == r.Digest {
		r.Upstream = ""
	}
	if pin.By != "" { // nobody pins a tag to what is not stored
		r.Untagged = false
		completed(r, now)
	}
}

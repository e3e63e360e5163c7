package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// oldRevision is a revision of a tag's history that nobody uses.
type oldRevision struct {
	key      tagKey
	digest   digest.Digest
	lastSeen time.Time
}

// evictHistory has tags forget revisions that nobody uses, those that were current longest ago first, until no more than low bytes are
// used or none is left that may go. What a tag is at, was whole at last or goes back to without its pin, stays.
func (c *Cache) evictHistory(ctx context.Context, used, low int64) (int64, error) {
	revisions, err := c.oldRevisions(ctx)
	if err != nil {
		return used, err
	}
	for used > low && len(revisions) > 0 {
		for expected := int64(0); expected < used-low && len(revisions) > 0; revisions = revisions[1:] {
			expected += c.evictRevision(ctx, revisions[0])
		}
		if used, err = c.free(ctx, used); err != nil {
			return used, err
		}
	}
	return used, nil
}

// evictRevision has a tag forget a revision, and returns how many bytes that may free.
func (c *Cache) evictRevision(ctx context.Context, old oldRevision) int64 {
	ref := imageref.Reference{Repository: old.key.repo, Digest: old.digest}
	image, _ := c.Image(ctx, ref, nil) // how large it is matters to the order alone
	err := c.updateTag(ctx, old.key, func(r *store.TagRecord) bool {
		before := len(r.History)
		r.History = slices.DeleteFunc(r.History, func(revision store.Revision) bool {
			return revision.Digest == old.digest && !needs(r, old.digest)
		})
		return len(r.History) < before
	})
	if err != nil {
		c.log.Error(err, "evicting a kept revision", "repository", old.key.repo.String(), "reference", old.key.tag, "digest", old.digest)
		return 0
	}
	c.metrics.Evictions.Inc()
	c.log.Info("kept revision evicted", "repository", old.key.repo.String(), "reference", old.key.tag, "digest", old.digest, "size", image.Size)
	return image.Size
}

// oldRevisions lists the revisions that may go, each once for a tag, those that were current longest ago first.
func (c *Cache) oldRevisions(ctx context.Context) ([]oldRevision, error) {
	var all []oldRevision
	err := c.store.Repositories(ctx, func(repo imageref.Repository) error {
		tags, err := c.store.Tags(ctx, repo)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		for _, tag := range tags {
			all = append(all, c.oldRevisionsOf(ctx, tagKey{repo, tag})...)
		}
		return errors.Join(err, ctx.Err())
	})
	slices.SortStableFunc(all, func(a, b oldRevision) int { return a.lastSeen.Compare(b.lastSeen) })
	return all, err
}

func (c *Cache) oldRevisionsOf(ctx context.Context, key tagKey) []oldRevision {
	rec, err := c.store.Tag(ctx, key.repo, key.tag)
	if err != nil || rec.Untagged {
		return nil
	}
	var old []oldRevision
	seen := map[digest.Digest]bool{}
	for _, revision := range rec.History {
		if seen[revision.Digest] || needs(&rec, revision.Digest) || revision.Digest == rec.Upstream || c.isUsed(ctx, key.repo, revision.Digest) {
			continue
		}
		seen[revision.Digest] = true
		old = append(old, oldRevision{key, revision.Digest, revision.LastSeen})
	}
	return old
}

package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

const periodicChecks = 4 // T8: checks at a time

// CheckPeriodic checks the tags of periodic policies that are due (T8). The caller repeats it.
func (c *Cache) CheckPeriodic(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(periodicChecks)
	for _, repo := range c.policies.Periodic() {
		if !c.owns(repo) {
			continue
		}
		tags, err := c.store.Tags(ctx, repo)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			c.log.Error(err, "listing the tags of a periodic policy", "repository", repo.String())
		}
		for _, tag := range tags {
			g.Go(func() error {
				c.checkPeriodic(ctx, tagKey{repo, tag})
				return nil
			})
		}
	}
	_ = g.Wait() // nothing returns an error
}

// checkPeriodic checks one tag up to a tenth of its interval late, so that tags that came together do not stay together.
func (c *Cache) checkPeriodic(ctx context.Context, key tagKey) {
	st, err := c.tagState(ctx, key)
	if err != nil {
		return
	}
	p := c.policyOf(key, st)
	rec := st.rec.Load()
	if ctx.Err() != nil || !p.Check || !p.Periodic || rec.Untagged || !c.due(rec.CheckedAt, p.Interval+jitter(key, p.Interval/10)) {
		return
	}
	_, _ = c.confirm(ctx, c.tagQuestion(key, st, p)) // what went wrong is counted and logged by the check
}

func jitter(key tagKey, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(maphash.Comparable(tagSeed, key) % uint64(limit))
}

// ExpireUnused untags what no object names and nobody pulled for the expiry delay (M5). The caller repeats it.
func (c *Cache) ExpireUnused(ctx context.Context) error {
	if c.expiryDelay <= 0 {
		return nil
	}
	return c.store.Repositories(ctx, func(repo imageref.Repository) error {
		if !c.owns(repo) {
			return ctx.Err()
		}
		tags, err := c.store.Tags(ctx, repo)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if err := c.expire(ctx, tagKey{repo, tag}); err != nil && !errors.Is(err, store.ErrNotFound) {
				c.log.Error(err, "expiring a tag", "repository", repo.String(), "reference", tag)
			}
		}
		return ctx.Err()
	})
}

func (c *Cache) expire(ctx context.Context, key tagKey) error {
	if c.policies.Named(key.repo, key.tag) {
		return nil
	}
	return c.updateTag(ctx, key, func(r *store.TagRecord) bool {
		now := c.now()
		switch {
		case r.Untagged || r.Digest == "" || r.Pin.By != "":
			return false
		case r.PulledAt.IsZero(): // written by another registry: its time begins now
			r.PulledAt = now
			return true
		case now.Sub(r.PulledAt) < c.expiryDelay:
			return false
		}
		r.Untagged = true
		c.log.Info("tag expired", "repository", key.repo.String(), "reference", key.tag, "digest", r.Digest, "pulledAt", r.PulledAt)
		return true
	})
}

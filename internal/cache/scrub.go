package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Scrub hashes the part of the store that is due, so that all of it is looked at within a period (B5), and returns when the next part is. What
// is bad is removed, and brought in again from the origin of a repository that it belongs to; where that fails, by the next pull. A shared store
// is the leader's (see Lead): elsewhere the error is store.ErrShared.
func (c *Cache) Scrub(ctx context.Context, period time.Duration) (next time.Time, err error) {
	ctx, end, err := c.deleting(ctx)
	if err != nil {
		return next, err
	}
	defer end()
	report, err := c.store.Scrub(ctx, period, c.now)
	c.metrics.ScrubbedBytes.Add(float64(report.Bytes))
	for _, dgst := range report.Bad {
		repaired := c.repair(ctx, dgst)
		outcome := "repaired"
		if repaired != nil {
			outcome = "lost"
			c.log.Error(repaired, "damaged blob not repaired; the next pull tries again", "digest", dgst)
		} else {
			c.log.Info("damaged blob repaired", "digest", dgst)
		}
		c.metrics.ScrubbedBad.WithLabelValues(outcome).Inc()
	}
	return report.Next, err
}

var errNobodys = errors.New("no repository has it")

// repair brings in again what was removed as bad.
func (c *Cache) repair(ctx context.Context, dgst digest.Digest) error {
	failed := errNobodys
	done := errors.New("done")
	err := c.store.Repositories(ctx, func(repo imageref.Repository) error {
		err := c.repairIn(ctx, repo, dgst)
		switch {
		case err == nil:
			return done
		case !errors.Is(err, store.ErrNotFound):
			failed = err
		}
		return ctx.Err()
	})
	if errors.Is(err, done) {
		return nil
	}
	if err == nil {
		err = failed
	}
	return fmt.Errorf("repairing %s: %w", dgst, err)
}

// repairIn brings a manifest or blob in that is linked in repo; store.ErrNotFound where it is not.
func (c *Cache) repairIn(ctx context.Context, repo imageref.Repository, dgst digest.Digest) error {
	if _, err := c.store.LinkedManifest(ctx, repo, dgst); err == nil {
		_, _, err := c.miss(ctx, repo, string(dgst))
		return err
	}
	desc, err := c.store.LinkedBlob(ctx, repo, dgst)
	if err != nil {
		return err
	}
	return c.fetches.Fetch(ctx, repo, desc, nil)
}

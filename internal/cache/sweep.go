package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Sweep deletes what nothing reaches and was not reached a grace period ago either (M4); see store.Sweep. Pulls and mirrors go on. A
// grace below zero is that of the options. A shared store the leader sweeps (see Lead): elsewhere, without dryRun, the error is store.ErrShared.
func (c *Cache) Sweep(ctx context.Context, grace time.Duration, dryRun bool) (store.SweepReport, error) {
	if grace < 0 {
		grace = c.sweepGrace
	}
	ctx, end, err := c.mayDelete(ctx, dryRun)
	if err != nil {
		return store.SweepReport{}, err // and not a sweep that failed
	}
	defer end()
	began := time.Now()
	report, err := c.store.Sweep(ctx, store.SweepOptions{
		Grace: grace, DryRun: dryRun, Now: c.now, Sole: !dryRun,
		Keeps:     func(repo imageref.Repository, dgst digest.Digest) bool { return c.keepsDigest(ctx, repo, dgst) },
		Remembers: c.policies.Named,
		Bury:      c.buryTag,
		Forget:    c.forgetSwept,
	})
	c.swept(report, dryRun, err, time.Since(began))
	return report, err
}

// mayDelete is deleting, or bind for who only looks.
func (c *Cache) mayDelete(ctx context.Context, dryRun bool) (bound context.Context, release func(), err error) {
	if dryRun {
		bound, release = c.bind(ctx)
		return bound, release, nil
	}
	return c.deleting(ctx)
}

// swept tells the log and the metrics what a sweep has done.
func (c *Cache) swept(report store.SweepReport, dryRun bool, err error, took time.Duration) {
	if dryRun || report.Skipped {
		return
	}
	freed := report.Freed
	c.metrics.SweepDuration.Set(took.Seconds())
	c.metrics.SweptBytes.Add(float64(freed.Bytes))
	c.metrics.SweptBlobs.Add(float64(freed.Blobs))
	c.metrics.SweepWaiting.Set(float64(report.Waiting.Bytes))
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	c.metrics.Sweeps.WithLabelValues(outcome).Inc()
	if freed != (store.Swept{}) {
		c.log.Info("swept", "bytes", freed.Bytes, "blobs", freed.Blobs, "manifests", freed.Manifests, "tags", freed.Tags,
			"waiting", report.Waiting.Bytes, "duration", took.String())
	}
}

// buryTag removes the record of a tag that was removed, unless it has come back. Under the tag's lock, so that nobody writes the record
// again who has read it before.
func (c *Cache) buryTag(repo imageref.Repository, tag string, remove func() error) error {
	key := tagKey{repo, tag}
	l := c.tagLock(key)
	l.Lock()
	defer l.Unlock()
	if st, ok := c.tags.Peek(key); ok && !st.rec.Load().Untagged {
		return nil
	}
	if err := remove(); err != nil {
		return err
	}
	c.tags.Remove(key)
	return nil
}

// forgetSwept has memory forget what was deleted: what belongs to a repository is read from its manifests again.
func (c *Cache) forgetSwept(repo imageref.Repository, dgst digest.Digest) {
	if dgst != "" {
		c.bodies.remove(dgst)
		c.pulls.known.Remove(pullKey{repo, dgst})
	}
	c.names.forget(repo)
	c.lists.Remove(subject{repo, tagsSubject, ""})
	c.lists.Remove(subject{repo, referrersSubject, string(dgst)})
}

package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/upstream"
)

// mirrorRetry is how soon a failed mirror of a moved tag is tried again.
const mirrorRetry = 10 * time.Second

// mirrorMoved brings in, in the background, the revision that a tag moved to (T5), unless that is running or has just failed.
func (c *Cache) mirrorMoved(key tagKey) {
	if !c.mirrors.start(c.now(), key) {
		return
	}
	_ = c.background(mirrorLife, func(ctx context.Context) {
		err := c.mirrorRevision(ctx, key)
		outcome := "ok"
		if err != nil {
			outcome = "failed"
			if ctx.Err() == nil {
				c.log.Error(err, "mirroring failed", "repository", key.repo.String(), "reference", key.tag)
			}
		}
		c.metrics.MirroredImages.WithLabelValues(outcome).Inc()
		c.mirrors.end(c.now(), key, err)
	}) // after Close the next process goes on with it
}

// mirrorRevision mirrors until the tag stands still: it may move again meanwhile.
func (c *Cache) mirrorRevision(ctx context.Context, key tagKey) error {
	release, err := c.mirrors.enter(ctx, c.origin.Place(key.repo))
	if err != nil {
		return err
	}
	defer release()
	for done := digest.Digest(""); ; {
		st, err := c.tagState(ctx, key)
		if err != nil {
			return err
		}
		rec := st.rec.Load()
		if rec.Untagged || rec.Digest == done {
			return nil
		}
		t := &tree{repo: key.repo, platforms: rec.Platforms, lenient: true}
		if _, err := c.mirrorTree(ctx, descriptorOf(rec), t); err != nil {
			return err
		}
		c.markComplete(ctx, key, rec.Digest)
		done = rec.Digest
	}
}

// retry says when a mirror that failed may be tried again, and whose fault it was.
type retry struct {
	at     time.Time
	origin bool
}

// start says whether a mirror of the tag may start now, and notes it.
func (m *mirrors) start(now time.Time, key tagKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[key] || now.Before(m.retry[key].at) {
		return false
	}
	if m.running == nil {
		m.running, m.retry = map[tagKey]bool{}, map[tagKey]retry{}
	}
	m.running[key] = true
	return true
}

func (m *mirrors) end(now time.Time, key tagKey, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, key)
	delete(m.retry, key)
	if err != nil {
		m.retry[key] = retry{now.Add(mirrorRetry), originFailed(err)}
	}
}

// failed says whether the last mirror of the tag failed by its origin, and no other has ended well since.
func (m *mirrors) failed(key tagKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.retry[key].origin
}

// originFailed says whether an error, or one of those joined in it, is the origin's, and not about the one thing that was asked for.
func originFailed(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(many.Unwrap(), originFailed)
	}
	if up, ok := err.(*upstream.Error); ok { //nolint:errorlint // As would find the first of several only
		return up.Reason != upstream.NotFound && up.Reason != upstream.Invalid
	}
	return err != nil && originFailed(errors.Unwrap(err))
}

func unreachable(err error) bool {
	up, ok := errors.AsType[*upstream.Error](err)
	return ok && up.Reason == upstream.Unreachable
}

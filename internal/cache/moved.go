package cache

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/upstream"
)

// mirrorRetry is how soon a failed mirror of a moved tag is tried again.
const mirrorRetry = 10 * time.Second

// mirrorMoved brings in, in the background, the revision that a tag moved to (T5), unless that is running or has just failed.
func (c *Cache) mirrorMoved(key tagKey, dgst digest.Digest) {
	if !c.mirrors.start(c.now(), key) {
		return
	}
	_ = c.background(mirrorLife, func(ctx context.Context) {
		err := c.mirrorRevision(ctx, key, dgst)
		outcome := "ok"
		if err != nil {
			outcome = "failed"
			if ctx.Err() == nil {
				c.log.Info("mirroring failed", "repository", key.repo.String(), "reference", key.tag, "digest", dgst, "error", err.Error())
			}
		}
		c.metrics.MirroredImages.WithLabelValues(outcome).Inc()
		c.mirrors.end(c.now(), key, err != nil)
	}) // after Close the next process goes on with it
}

func (c *Cache) mirrorRevision(ctx context.Context, key tagKey, dgst digest.Digest) error {
	release, err := c.mirrors.enter(ctx, key.repo.Host)
	if err != nil {
		return err
	}
	defer release()
	st, err := c.tagState(ctx, key)
	if err != nil {
		return err
	}
	rec := st.rec.Load()
	if rec.Digest != dgst {
		return nil // moved on
	}
	if _, err := c.mirrorTree(ctx, key.repo, ocispec.Descriptor{Digest: dgst}, rec.Platforms, nil); err != nil && !errors.Is(err, errNoPlatform) {
		return err
	}
	c.markComplete(ctx, key, dgst)
	return nil
}

// start says whether a mirror of the tag may start now, and notes it.
func (m *mirrors) start(now time.Time, key tagKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[key] || now.Before(m.retry[key]) {
		return false
	}
	if m.running == nil {
		m.running, m.retry = map[tagKey]bool{}, map[tagKey]time.Time{}
	}
	m.running[key] = true
	return true
}

func (m *mirrors) end(now time.Time, key tagKey, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, key)
	delete(m.retry, key)
	if failed {
		m.retry[key] = now.Add(mirrorRetry)
	}
}

// failed says whether the last mirror of the tag failed, and no other has ended well since.
func (m *mirrors) failed(key tagKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, failed := m.retry[key]
	return failed
}

// originFailed says whether an error is the origin's, and not about the one thing that was asked for.
func originFailed(err error) bool {
	var up *upstream.Error
	return errors.As(err, &up) && up.Reason != upstream.NotFound && up.Reason != upstream.Invalid
}

func unreachable(err error) bool {
	var up *upstream.Error
	return errors.As(err, &up) && up.Reason == upstream.Unreachable
}

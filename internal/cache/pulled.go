package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// pulls are the manifests that were asked for by digest although no manifest that is stored here names them: no tag keeps them.
type pulls struct {
	known *lru.Cache[pullKey, time.Time] // when each was pulled last, as far as that is written down
}

type pullKey struct {
	repo   imageref.Repository
	digest digest.Digest
}

const pullsInMemory = 10_000

func newPulls() pulls {
	known, _ := lru.New[pullKey, time.Time](pullsInMemory) // errs for a size below one only
	return pulls{known}
}

func pulledDocument(dgst digest.Digest) string {
	return "pulled/" + strings.ReplaceAll(string(dgst), ":", "-")
}

// pulledAt returns when an image was last pulled by a digest that no tag and no object keeps; store.ErrNotFound where it was not.
func (c *Cache) pulledAt(ctx context.Context, key pullKey) (time.Time, error) {
	if at, ok := c.pulls.known.Get(key); ok && !c.store.Shared() { // another replica may have noted a later one
		return at, nil
	}
	content, err := c.store.Document(ctx, key.repo, pulledDocument(key.digest))
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, string(content))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	c.pulls.known.Add(key, at)
	return at, nil
}

// notePull writes down that an image was pulled by its digest.
func (c *Cache) notePull(ctx context.Context, key pullKey) error {
	now := c.now()
	if err := c.store.PutDocument(ctx, key.repo, pulledDocument(key.digest), []byte(now.UTC().Format(time.RFC3339))); err != nil {
		return err
	}
	c.pulls.known.Add(key, now)
	return nil
}

// noteUnnamed is notePull for a manifest that comes in, unless it belongs to an image that is stored.
func (c *Cache) noteUnnamed(ctx context.Context, key pullKey) error {
	if _, named := c.names.find(ctx, key.repo, key.digest); named {
		return nil
	}
	return c.notePull(ctx, key)
}

// touchDigest notes the pull of an image by digest where the last one that was noted is old.
func (c *Cache) touchDigest(repo imageref.Repository, dgst digest.Digest) {
	key := pullKey{repo, dgst}
	at, ok := c.pulls.known.Get(key)
	if !ok || c.now().Sub(at) < c.pulledPrecision() {
		return
	}
	c.pulls.known.Add(key, c.now()) // one is enough to write it
	_ = c.background(answerTimeout, func(ctx context.Context) {
		if err := c.notePull(ctx, key); err != nil {
			c.log.Error(err, "noting a pull", "repository", repo.String(), "digest", dgst)
		}
	})
}

// keepsDigest says whether an object names a manifest by its digest, or somebody pulled it by that within the expiry delay. Where the
// store cannot tell, it is kept.
func (c *Cache) keepsDigest(ctx context.Context, repo imageref.Repository, dgst digest.Digest) bool {
	if c.keeps(repo, dgst) {
		return true
	}
	at, err := c.pulledAt(ctx, pullKey{repo, dgst})
	if err != nil {
		return !errors.Is(err, store.ErrNotFound)
	}
	return c.expiryDelay <= 0 || c.now().Sub(at) < c.expiryDelay
}

// forgetPull has nothing but tags and objects keep a manifest.
func (c *Cache) forgetPull(ctx context.Context, key pullKey) error {
	err := c.store.RemoveDocument(ctx, key.repo, pulledDocument(key.digest))
	c.pulls.known.Remove(key)
	return err
}

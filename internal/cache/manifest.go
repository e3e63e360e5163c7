package cache

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// Manifest returns the exact bytes of a manifest that ResolveManifest named; fetched again where the store lost them (M3).
// The caller must not change them.
func (c *Cache) Manifest(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) ([]byte, error) {
	if body, ok := c.bodies.get(desc.Digest); ok {
		return body, nil
	}
	body, _, err := c.store.ReadManifest(ctx, repo, desc.Digest)
	if err == nil {
		c.bodies.add(desc.Digest, body)
		return body, nil
	}
	if _, _, err := c.miss(ctx, repo, string(desc.Digest)); err != nil {
		return nil, err
	}
	if body, ok := c.bodies.get(desc.Digest); ok {
		return body, nil
	}
	body, _, err = c.store.ReadManifest(ctx, repo, desc.Digest)
	return body, err
}

// keep stores a manifest of repo, and remembers its bytes also where the store has no room for them.
func (c *Cache) keep(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, body []byte) error {
	c.bodies.add(desc.Digest, body)
	err := c.store.PutManifest(ctx, repo, desc, body)
	c.names.add(repo, body)
	return err
}

// assure keeps a manifest again that was swept after it was kept and before anything reached it: what names it comes after it.
func (c *Cache) assure(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, body []byte) error {
	if _, err := c.store.LinkedManifest(ctx, repo, desc.Digest); err == nil && c.holdsBlob(ctx, desc.Digest) {
		return nil
	}
	return c.keep(ctx, repo, desc, body)
}

// holdsBlob says whether a blob is stored.
func (c *Cache) holdsBlob(ctx context.Context, dgst digest.Digest) bool {
	_, err := c.store.StatBlob(ctx, dgst)
	return err == nil
}

// bodies holds the bytes of manifests in memory, up to a number of bytes.
type bodies struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[digest.Digest, []byte]
	bytes int
	limit int
}

func newBodies(limit int) *bodies {
	b := &bodies{limit: limit}
	b.lru, _ = simplelru.NewLRU(limit, func(_ digest.Digest, body []byte) { b.bytes -= len(body) }) // errs for a size below one only
	return b
}

func (b *bodies) get(dgst digest.Digest) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lru.Get(dgst)
}

// peek is get without the body counting as used.
func (b *bodies) peek(dgst digest.Digest) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lru.Peek(dgst)
}

func (b *bodies) has(dgst digest.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lru.Contains(dgst)
}

func (b *bodies) remove(dgst digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lru.Remove(dgst)
}

func (b *bodies) add(dgst digest.Digest, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lru.Contains(dgst) {
		return
	}
	b.lru.Add(dgst, body)
	for b.bytes += len(body); b.bytes > b.limit; {
		b.lru.RemoveOldest()
	}
}

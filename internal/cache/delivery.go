package cache

import (
	"context"
	"strings"
	"sync"

	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// delivery is what the last transfers said of each repository's origin.
type delivery struct {
	mu    sync.Mutex
	works map[imageref.Repository]bool
}

func (d *delivery) note(repo imageref.Repository, works bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.works == nil || len(d.works) > remembered {
		d.works = map[imageref.Repository]bool{}
	}
	d.works[repo] = works
}

func (d *delivery) get(repo imageref.Repository) (works, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	works, known = d.works[repo]
	return works, known
}

// transferEnded learns from the end of a blob's transfer.
func (c *Cache) transferEnded(repo imageref.Repository, err error) {
	if err == nil {
		c.delivery.note(repo, true)
		return
	}
	if c.ctx.Err() != nil || !originFailed(err) {
		return
	}
	c.delivery.note(repo, false)
	if unreachable(err) {
		c.holds.fail(c.origin.Place(repo), err)
	}
}

// delivers says whether the origin can be expected to send what a revision still lacks; it asks where nothing is known.
func (c *Cache) delivers(ctx context.Context, key tagKey, lacking ocispec.Descriptor) bool {
	if c.holds.open(c.origin.Place(key.repo)) || c.mirrors.failed(key) {
		return false
	}
	if works, known := c.delivery.get(key.repo); known {
		return works
	}
	ctx, cancel := context.WithTimeout(ctx, c.checkTimeout)
	defer cancel()
	_, _, err := c.share(ctx, missKey{repo: key.repo, what: "probe", name: string(lacking.Digest)}, func(ctx context.Context) (any, error) {
		err := c.probe(ctx, key.repo, lacking)
		c.transferEnded(key.repo, err)
		return nil, err
	})
	return err == nil
}

// probe asks the origin whether it has a manifest or blob.
func (c *Cache) probe(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) error {
	if isManifest(desc.MediaType) {
		_, _, err := c.origin.ResolveManifest(ctx, repo, string(desc.Digest))
		return err
	}
	_, err := c.origin.ResolveBlob(ctx, repo, desc.Digest)
	return err
}

func isManifest(mediaType string) bool {
	return strings.Contains(mediaType, "manifest") || strings.Contains(mediaType, "image.index")
}

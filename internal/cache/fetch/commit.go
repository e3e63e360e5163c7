package fetch

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// linkTimeout bounds the links of a blob that is committed already: they are made also while the process shuts down.
const linkTimeout = 10 * time.Second

// claim is one repository's part in a transfer: the blob is linked there in the end.
type claim struct {
	mediaType string
	tried     bool
	err       error
}

// claim adds a repository. The manager's lock is held.
func (t *transfer) claim(repo imageref.Repository, desc ocispec.Descriptor) {
	if t.claims[repo] == nil {
		t.claims[repo] = &claim{mediaType: desc.MediaType}
	}
}

// settle links the committed blob in each repository that claims it, also those that join meanwhile, and leaves the manager
// when none waits. A link that fails fails its repository alone.
func (t *transfer) settle(ctx context.Context) {
	for {
		due := t.due()
		if len(due) == 0 {
			return
		}
		for repo, c := range due {
			t.link(ctx, repo, c)
		}
	}
}

// due returns the claims that wait for their link. Where there are none, the transfer leaves the manager in the same step, so
// that no late claim is lost.
func (t *transfer) due() map[imageref.Repository]*claim {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	due := map[imageref.Repository]*claim{}
	for repo, c := range t.claims {
		if !c.tried {
			due[repo] = c
		}
	}
	if len(due) == 0 {
		t.m.remove(t)
	}
	return due
}

func (t *transfer) link(ctx context.Context, repo imageref.Repository, c *claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), linkTimeout)
	defer cancel()
	err := t.m.store.LinkBlob(ctx, repo, t.descriptor(c.mediaType))
	if err == nil { // linked first, looked for then: before, a sweep could take it (M4)
		_, err = t.m.store.StatBlob(ctx, t.desc.Digest)
	}
	t.m.mu.Lock()
	c.tried, c.err = true, err
	t.m.mu.Unlock()
	if err != nil {
		t.m.metrics.FetchFailures.WithLabelValues(causeStorage).Inc()
		t.m.log.Error(err, "blob not linked", "repository", repo.String(), "digest", t.desc.Digest)
		return
	}
	if t.m.onCommit != nil {
		t.m.onCommit(repo, t.desc.Digest)
	}
}

// linked returns what came of the link in repo, after the transfer ended well.
func (t *transfer) linked(repo imageref.Repository) error {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if err := t.claims[repo].err; err != nil {
		return fmt.Errorf("linking blob %s in %s: %w", t.desc.Digest, repo, err)
	}
	return nil
}

// descriptor is the whole blob's, as far as it is known; without a media type of the caller's, with the origin's.
func (t *transfer) descriptor(mediaType string) ocispec.Descriptor {
	if mediaType == "" {
		mediaType = t.mediaType
	}
	size, _, _ := t.progress.state()
	return ocispec.Descriptor{MediaType: mediaType, Digest: t.desc.Digest, Size: size}
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

const (
	mirrorsPerHost  = 2              // M1: pulls come first
	blobsPerMirror  = 3              // transfers at a time
	manifestDepth   = 4              // how deep indexes may be nested
	manifestsInTree = 20_000         // of one image
	mirrorPauses    = 10             // how often a mirror waits out a 429
	mirrorLife      = 24 * time.Hour // of a mirror that the cache started itself
)

// Progress is how far a mirror is: bytes of blobs and manifests, those already stored included. Total grows while manifests are
// read.
type Progress struct {
	Done, Total int64
}

// Mirrored is what a mirror brought in.
type Mirrored struct {
	Digest digest.Digest // of the image's manifest or index
	Size   int64         // bytes of everything that was asked for, stored now
	Loaded int64         // bytes transferred for it by this call

	Outcome Outcome // how its manifest or index came about: whether the origin confirmed it
}

// Mirror brings a whole image into the store: the index unchanged, and every blob of the wanted platforms ("linux/arm64/v8"; none:
// all of the index). It returns when all of it is committed (M1 to M3, P1). progress may be nil; it is called from several
// goroutines, never at the same time.
func (c *Cache) Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(Progress)) (Mirrored, error) {
	ctx, end := c.bind(ctx)
	defer end()
	out, err := c.mirror(ctx, ref, &tree{repo: ref.Repository, platforms: platforms, progress: progress})
	if err != nil && ctx.Err() != nil {
		return out, fmt.Errorf("mirroring %s: %w", ref, ctx.Err()) // and not what each of its parts has to say to that
	}
	return out, answer(err, CodeBlobUnknown)
}

func (c *Cache) mirror(ctx context.Context, ref imageref.Reference, t *tree) (Mirrored, error) {
	began := c.removals.now()
	release, err := c.mirrors.enter(ctx, c.origin.Place(ref.Repository))
	if err != nil {
		return Mirrored{}, err
	}
	defer release()
	desc, outcome, err := c.resolveMirror(ctx, ref)
	if err != nil {
		return Mirrored{}, err
	}
	if ref.Digest != "" {
		if err := c.notePull(ctx, pullKey{ref.Repository, ref.Digest}); err != nil { // from now on no sweep takes what comes in
			return Mirrored{}, err
		}
	}
	out, err := c.mirrorTree(ctx, desc, t)
	out.Outcome = outcome
	if err == nil && ref.Digest == "" {
		err = c.finish(ctx, tagKey{ref.Repository, ref.Tag}, desc, t.platforms, began)
	}
	return out, err
}

// finish settles a tag that was mirrored. One that was removed kept nothing while the mirror ran: what a sweep took meanwhile comes again.
func (c *Cache) finish(ctx context.Context, key tagKey, desc ocispec.Descriptor, platforms []string, began removal) error {
	kept, err := c.settleTag(ctx, key, desc, began)
	if err != nil || kept {
		return err
	}
	_, err = c.mirrorTree(ctx, desc, &tree{repo: key.repo, platforms: platforms})
	return err
}

// resolveMirror answers which manifest a mirror of ref begins with. For a tag that an object names it is not a pull: what an object
// wants is no sign of use (M5).
func (c *Cache) resolveMirror(ctx context.Context, ref imageref.Reference) (desc ocispec.Descriptor, outcome Outcome, err error) {
	key := tagKey{ref.Repository, ref.Tag}
	err = c.patiently(ctx, ref.Repository, func() (err error) {
		if ref.Digest != "" {
			desc, outcome, err = c.ResolveManifest(ctx, ref.Repository, string(ref.Digest))
		} else {
			desc, outcome, err = c.resolveTag(ctx, key, !c.policies.Named(key.repo, key.tag))
		}
		return err
	})
	if err == nil && ref.Digest == "" {
		desc = c.current(ctx, key, desc)
	}
	return desc, outcome, err
}

// current returns the revision that a tag is at, where pulls still get the one before (T5); else desc.
func (c *Cache) current(ctx context.Context, key tagKey, desc ocispec.Descriptor) ocispec.Descriptor {
	st, err := c.tagState(ctx, key)
	if err != nil || st.rec.Load().Untagged {
		return desc
	}
	return descriptorOf(st.rec.Load())
}

// mirrorTree brings in all that desc needs. It goes on where one part fails, and tells all that failed.
func (c *Cache) mirrorTree(ctx context.Context, desc ocispec.Descriptor, t *tree) (Mirrored, error) {
	t.cache, t.seen = c, map[digest.Digest]bool{}
	err := t.manifest(ctx, desc, 0)
	var g errgroup.Group
	g.SetLimit(blobsPerMirror)
	for _, d := range t.blobs {
		if err := ctx.Err(); err != nil {
			t.fail(err)
			break
		}
		g.Go(func() error {
			if err := t.blob(ctx, d); err != nil {
				t.fail(fmt.Errorf("mirroring blob %s: %w", d.Digest, err))
			}
			return nil
		})
	}
	_ = g.Wait() // errors are in t.errs
	return Mirrored{Digest: desc.Digest, Size: t.state.Total, Loaded: t.loaded}, errors.Join(err, errors.Join(t.errs...))
}

// patiently does what a mirror does at an origin, and waits while the origin says that it is asked too much (M1).
func (c *Cache) patiently(ctx context.Context, repo imageref.Repository, do func() error) error {
	for pause := 0; ; pause++ {
		err := do()
		var up *upstream.Error
		if !errors.As(err, &up) || up.Reason != upstream.RateLimited || pause == mirrorPauses {
			return err
		}
		wait := up.RetryAfter
		if wait <= 0 {
			wait = rateDefault
		}
		wait = min(wait, rateLast)
		c.log.Info("mirroring pauses", "origin", c.origin.Place(repo), "repository", repo.String(), "reason", "429", "duration", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to allow more requests: %w", c.origin.Place(repo), ctx.Err())
		}
	}
}

// mirrors bounds the mirrors of each host, and knows those of moved tags.
type mirrors struct {
	mu      sync.Mutex
	slots   map[string]chan struct{}
	running map[tagKey]bool
	retry   map[tagKey]retry
}

// enter waits for one of a host's places.
func (m *mirrors) enter(ctx context.Context, host string) (release func(), err error) {
	m.mu.Lock()
	if m.slots == nil {
		m.slots = map[string]chan struct{}{}
	}
	slots := m.slots[host]
	if slots == nil {
		slots = make(chan struct{}, mirrorsPerHost)
		m.slots[host] = slots
	}
	m.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

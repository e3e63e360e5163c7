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
	release, err := c.mirrors.enter(ctx, ref.Repository.Host)
	if err != nil {
		return Mirrored{}, err
	}
	defer release()
	reference := ref.Tag
	if ref.Digest != "" {
		reference = string(ref.Digest)
	}
	var desc ocispec.Descriptor
	var outcome Outcome
	ctx, end := c.bind(ctx)
	defer end()
	err = c.patiently(ctx, ref.Repository, func() (err error) {
		desc, outcome, err = c.ResolveManifest(ctx, ref.Repository, reference)
		return err
	})
	if err != nil {
		return Mirrored{}, err
	}
	if ref.Digest == "" {
		desc = c.current(ctx, tagKey{ref.Repository, ref.Tag}, desc)
	}
	out, err := c.mirrorTree(ctx, desc, &tree{repo: ref.Repository, platforms: platforms, progress: progress})
	out.Outcome = outcome
	if err == nil && ref.Digest == "" {
		err = c.settleTag(ctx, tagKey{ref.Repository, ref.Tag}, desc)
	}
	return out, answer(err, CodeBlobUnknown)
}

// bind returns a context that ends with Stop too.
func (c *Cache) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
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

// tree is one image that is being mirrored.
type tree struct {
	cache     *Cache
	repo      imageref.Repository
	platforms []string // the wanted ones; none: all
	lenient   bool     // an index that has none of them wants nothing
	progress  func(Progress)
	blobs     []ocispec.Descriptor
	seen      map[digest.Digest]bool

	mu     sync.Mutex
	state  Progress
	loaded int64
	errs   []error
}

// manifest brings in a manifest and those below it, and lists their blobs.
func (t *tree) manifest(ctx context.Context, desc ocispec.Descriptor, depth int) error {
	if err := ctx.Err(); err != nil || t.seen[desc.Digest] {
		return err
	}
	t.seen[desc.Digest] = true
	if depth > manifestDepth || len(t.seen) > manifestsInTree {
		return fmt.Errorf("mirroring %s: more than %d indexes deep or %d manifests", desc.Digest, manifestDepth, manifestsInTree)
	}
	var body []byte
	err := t.cache.patiently(ctx, t.repo, func() (err error) {
		var stored ocispec.Descriptor
		if stored, _, err = t.cache.resolveDigest(ctx, t.repo, desc.Digest); err == nil {
			body, err = t.cache.Manifest(ctx, t.repo, desc)
		}
		if err == nil { // it may be in memory alone, where the store had no room or lost it
			err = t.cache.store.PutManifest(ctx, t.repo, stored, body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("mirroring manifest %s: %w", desc.Digest, err)
	}
	size := int64(len(body))
	t.advance(size, size, 0)
	m, err := parseManifest(desc.Digest, body)
	if err != nil {
		return err
	}
	for _, d := range m.blobs() {
		if !t.seen[d.Digest] {
			t.seen[d.Digest] = true
			t.blobs = append(t.blobs, d)
			t.advance(0, d.Size, 0)
		}
	}
	return t.children(ctx, m, depth)
}

func (t *tree) children(ctx context.Context, m manifest, depth int) error {
	var errs []error
	wanted := 0
	for _, d := range m.Manifests {
		if len(t.platforms) > 0 && !asked(d, t.platforms) {
			continue
		}
		wanted++
		if err := t.manifest(ctx, d, depth+1); err != nil {
			errs = append(errs, err)
		}
	}
	if wanted == 0 && len(m.Manifests) > 0 && !t.lenient {
		return fmt.Errorf("none of the platforms %v is in the image, which has %v", t.platforms, platformsIn(m))
	}
	return errors.Join(errs...)
}

func platformsIn(m manifest) []string {
	var names []string
	for _, d := range m.Manifests {
		if d.Platform != nil {
			names = append(names, platformName(*d.Platform))
		}
	}
	return names
}

// blob brings in one blob, unless it is stored (M2).
func (t *tree) blob(ctx context.Context, d ocispec.Descriptor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b, err := t.cache.openStored(ctx, t.repo, d); err == nil {
		b.Close()
		t.advance(d.Size, 0, 0)
		return nil
	}
	arrived := int64(0)
	return t.cache.patiently(ctx, t.repo, func() error {
		t.advance(-arrived, 0, -arrived) // what a failed attempt had counted
		arrived = 0
		return t.cache.fetches.Fetch(ctx, t.repo, d, func(n int64) {
			arrived += n
			t.advance(n, 0, n)
		})
	})
}

func (t *tree) advance(done, total, loaded int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Done += done
	t.state.Total += total
	t.loaded += loaded
	if t.progress != nil {
		t.progress(t.state)
	}
}

func (t *tree) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
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
		c.log.Info("mirroring pauses", "origin", repo.Host, "repository", repo.String(), "reason", "429", "duration", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to allow more requests: %w", repo.Host, ctx.Err())
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

// Package cache holds the rules of the cache: when to ask an origin, what to serve when it does not answer, what belongs to
// a repository, and how a whole image is brought in. It moves no bytes itself (package fetch does), serves no HTTP
// and knows no Kubernetes.
package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/singleflight"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

const (
	checkTimeout   = 2 * time.Second  // T6: how long a request waits for a check, by default
	checkLife      = 15 * time.Second // T6: how long a check runs on when nobody waits for it any more
	answerTimeout  = 24 * time.Second // T1: containerd gives up at 30 s; what is left is for the network
	tagsInMemory   = 50_000           // tag records held in memory
	pulledPrecise  = time.Hour        // how exactly the time of the last pull is stored
	bodiesInMemory = 16 << 20         // bytes of manifests held in memory
	listsInMemory  = 256              // lists of tags and referrers held in memory
	tagLocks       = 64               // stripes of the locks that order the writes of tag records
)

// Cache answers pulls. It is safe for concurrent use.
//
// Locks are leaves, but for tagLocks: they are held while a record is written, and never two at a time.
type Cache struct {
	store    *store.Store
	origin   *upstream.Client
	policies Policies
	fetches  *fetch.Manager
	metrics  *metrics.Metrics
	log      logr.Logger
	now      func() time.Time
	onTag    func(imageref.Repository, string)
	eviction eviction
	keeps    func(imageref.Repository, digest.Digest) bool
	owns     func(imageref.Repository) bool

	checkTimeout time.Duration
	expiryDelay  time.Duration
	sweepGrace   time.Duration

	tags     *lru.Cache[tagKey, *tagState]
	tagLocks [tagLocks]sync.Mutex
	removals *removals
	bodies   *bodies
	lists    *lru.Cache[subject, any] // of list[string] and list[ocispec.Descriptor]
	names    *names
	pulls    pulls
	leader   leader

	isCrowded atomic.Bool // the store is larger than its limit, and that was said

	checks   checks
	holds    *holds
	failures failures[missKey]
	misses   singleflight.Group // manifests and heads of blobs on their way in
	delivery delivery
	mirrors  mirrors

	ctx    context.Context // of what runs in the background; ended by Close
	cancel context.CancelFunc
	mu     sync.Mutex // guards wg against what starts during Close
	wg     sync.WaitGroup
}

// New returns a cache. Close ends what it runs in the background.
func New(o Options) *Cache {
	c := &Cache{
		store: o.Store, origin: o.Origin, policies: o.Policies, metrics: o.Metrics, log: o.Log,
		now: o.Now, onTag: o.OnTag, checkTimeout: o.CheckTimeout, expiryDelay: o.ExpiryDelay,
		bodies: newBodies(bodiesInMemory), removals: newRemovals(), pulls: newPulls(), keeps: o.Keeps, owns: o.Owns, sweepGrace: o.SweepGrace,
		eviction: newEviction(o),
	}
	if c.keeps == nil {
		c.keeps = func(imageref.Repository, digest.Digest) bool { return false }
	}
	if c.owns == nil {
		c.owns = func(imageref.Repository) bool { return true }
	}
	if c.onTag == nil {
		c.onTag = func(imageref.Repository, string) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.checkTimeout <= 0 {
		c.checkTimeout = checkTimeout
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.tags, _ = lru.New[tagKey, *tagState](tagsInMemory) // errs for a size below one only
	c.lists, _ = lru.New[subject, any](listsInMemory)
	c.names = newNames(o.Store, c.background)
	c.holds = newHolds(c.now, o.Origin.Place, o.Metrics)
	c.failures = newFailures[missKey](c.now)
	c.fetches = fetch.New(fetch.Options{
		Store: o.Store, Origin: o.Origin, Metrics: o.Metrics, Log: o.Log,
		Confirm: c.confirmBlob, OnOutcome: c.transferEnded,
	})
	c.checks.running = map[subject]*check{}
	return c
}

// Shared says whether other processes may write to the store; see store.Shared.
func (c *Cache) Shared() bool { return c.store.Shared() }

// Stop ends the checks, misses and mirrors that run and starts no more, so that who waits for one is answered now: from the
// store, or that the origin was not reached. Transfers of blobs go on for their readers until Close.
func (c *Cache) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
}

// Close aborts background checks, fetches, mirrors and what else writes for somebody, and waits for them (P4).
func (c *Cache) Close() {
	c.Stop()
	c.fetches.Close()
	c.wg.Wait()
}

// enter says whether something may still start in the background; it calls c.wg.Done at its end.
func (c *Cache) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.wg.Add(1)
	return nil
}

// bind is for work that its caller waits for: the context ends with Stop too, and Close waits until release is called.
func (c *Cache) bind(ctx context.Context) (bound context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	if c.enter() != nil {
		cancel()
		return ctx, cancel
	}
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		c.wg.Done()
	}
}

// background runs fn on its own until it returns or Close ends its context. After Close it runs nothing.
func (c *Cache) background(limit time.Duration, fn func(context.Context)) error {
	if err := c.enter(); err != nil {
		return err
	}
	go func() {
		defer c.wg.Done()
		ctx, cancel := context.WithTimeout(c.ctx, limit)
		defer cancel()
		fn(ctx)
	}()
	return nil
}

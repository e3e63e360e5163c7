package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

type tagKey struct {
	repo imageref.Repository
	tag  string
}

// tagState is a tag in memory: its stored record, and what is derived from it. The record is replaced, never changed.
type tagState struct {
	rec      atomic.Pointer[store.TagRecord]
	policy   atomic.Pointer[policyState]
	problem  atomic.Pointer[problem] // nil: the last check was answered, or there was none
	touching atomic.Bool             // the time of the last pull is being written
	read     atomic.Int64            // when the record was read or written, in nanoseconds of the Unix epoch
	unsaved  atomic.Bool             // the record could not be written, or another replica wrote an older one over it
	saving   atomic.Bool             // it is tried again
}

type policyState struct {
	generation uint64
	policy     Policy
}

// tagState returns the state of a tag that has a record, or store.ErrNotFound.
func (c *Cache) tagState(ctx context.Context, key tagKey) (*tagState, error) {
	if st, ok := c.tags.Get(key); ok && c.fresh(st) {
		return st, nil
	}
	l := c.tagLock(key)
	l.Lock()
	defer l.Unlock()
	return c.loadTag(ctx, key)
}

// tagNow is tagState for who must not miss what another replica wrote just now.
func (c *Cache) tagNow(ctx context.Context, key tagKey) (*tagState, error) {
	if st, ok := c.tags.Peek(key); ok && c.store.Shared() {
		st.read.Store(0)
	}
	return c.tagState(ctx, key)
}

// fresh says whether the record in memory may be taken for the stored one, which other replicas write too.
func (c *Cache) fresh(st *tagState) bool {
	ttl := c.store.RecordTTL()
	age := c.now().UnixNano() - st.read.Load()
	return ttl == 0 || age >= 0 && age < int64(ttl)
}

// loadTag reads the record under the tag's lock, where memory has none that may still be the stored one.
func (c *Cache) loadTag(ctx context.Context, key tagKey) (*tagState, error) {
	st, ok := c.tags.Get(key)
	if ok && c.fresh(st) {
		return st, nil
	}
	if ok {
		return c.reread(ctx, key, st)
	}
	rec, err := c.readTag(ctx, key)
	if err != nil {
		return nil, err
	}
	st = &tagState{}
	c.hold(st, &rec)
	c.tags.Add(key, st)
	return st, nil
}

func (c *Cache) hold(st *tagState, rec *store.TagRecord) {
	st.rec.Store(rec)
	st.read.Store(c.now().UnixNano())
}

func (c *Cache) readTag(ctx context.Context, key tagKey) (store.TagRecord, error) {
	rec, err := c.store.Tag(ctx, key.repo, key.tag)
	if err != nil || rec.MediaType != "" {
		return rec, err
	}
	_, desc, err := c.store.ReadManifest(ctx, key.repo, rec.Digest) // written by another registry
	rec.MediaType, rec.Size = desc.MediaType, desc.Size
	return rec, err
}

// reread reads a record that memory knows: what it says is good enough for who would wait long for the storage.
func (c *Cache) reread(ctx context.Context, key tagKey, st *tagState) (*tagState, error) {
	ctx, cancel := context.WithTimeout(ctx, c.checkTimeout)
	defer cancel()
	rec, err := c.readTag(ctx, key)
	return c.renew(ctx, key, st, rec, err)
}

// renew brings a record in memory up to what another replica wrote: the newer check wins, and of two pins the one that was decided last. Where
// the storage cannot be reached, what is known is served on. What is known better than it is stored is written again: two replicas may have
// written at once, or this one could not.
func (c *Cache) renew(ctx context.Context, key tagKey, st *tagState, rec store.TagRecord, err error) (*tagState, error) {
	have, unsaved := st.rec.Load(), st.unsaved.Load()
	missing := errors.Is(err, store.ErrNotFound)
	if missing && !unsaved {
		c.tags.Remove(key)
		return nil, err
	}
	known := have
	if err == nil && (!rec.CheckedAt.Before(have.CheckedAt) || rec.Untagged && !unsaved) {
		known = &rec
	}
	if err == nil && !rec.Pin.Same(have.Pin) {
		if known, err = c.decided(ctx, key, known); err != nil {
			known = have
		}
	}
	c.hold(st, known)
	if err == nil || missing {
		better := known != &rec
		st.unsaved.Store(better)
		if better {
			c.saveLater(key, 0)
		}
	}
	return st, nil
}

// overtaken says whether a later answer than one that came at that time is in a record already: another replica's.
func overtaken(r *store.TagRecord, answered time.Time) bool {
	return !r.Untagged && r.CheckedAt.After(answered)
}

// updateTag changes a tag's record, durably, and tells of what changed. change gets the present record (the zero one where there is
// none) and says whether it changed anything. Where the record cannot be written, the change holds in memory.
func (c *Cache) updateTag(ctx context.Context, key tagKey, change func(*store.TagRecord) bool) error {
	before, after, err := c.writeTag(ctx, key, change)
	if tells(before, after) {
		c.onTag(key.repo, key.tag)
	}
	if errors.Is(err, store.ErrDoomed) {
		c.saveLater(key, saveEvery)
	}
	return err
}

// writeTag returns the record before and after the change.
func (c *Cache) writeTag(ctx context.Context, key tagKey, change func(*store.TagRecord) bool) (before, after *store.TagRecord, err error) {
	l := c.tagLock(key)
	l.Lock()
	defer l.Unlock()
	if st, ok := c.tags.Peek(key); ok && c.store.Shared() {
		st.read.Store(0) // another replica may have written it just now
	}
	st, err := c.loadTag(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		st = &tagState{}
	case err != nil:
		return nil, nil, err
	}
	before = st.rec.Load()
	var rec store.TagRecord
	if before != nil {
		rec = *before
		rec.History = slices.Clone(before.History)
	}
	if !change(&rec) {
		return before, before, nil
	}
	rec.Evicted = rec.Evicted && rec.Untagged // it is back
	err = c.putTag(ctx, key, before, &rec)
	c.hold(st, &rec) // also where the disk is full: what an origin said counts until a restart
	st.unsaved.Store(err != nil)
	c.tags.Add(key, st)
	return before, &rec, err
}

var tagSeed = maphash.MakeSeed()

func (c *Cache) tagLock(key tagKey) *sync.Mutex {
	return &c.tagLocks[maphash.Comparable(tagSeed, key)%tagLocks]
}

// policyOf returns the tag's policy, decided once for each generation of the policies.
func (c *Cache) policyOf(key tagKey, st *tagState) Policy {
	generation := c.policies.Generation()
	if p := st.policy.Load(); p != nil && p.generation == generation {
		return p.policy
	}
	p := &policyState{generation: generation, policy: c.policies.Policy(key.repo, key.tag)}
	st.policy.Store(p)
	return p.policy
}

// touch writes down that a tag was pulled, where the record does not say so closely enough.
func (c *Cache) touch(key tagKey, st *tagState, rec *store.TagRecord, now time.Time) {
	if now.Sub(rec.PulledAt) < c.pulledPrecision() || !st.touching.CompareAndSwap(false, true) {
		return
	}
	_ = c.background(answerTimeout, func(ctx context.Context) { // after Close the time is not worth writing
		defer st.touching.Store(false)
		c.noted(key, c.updateTag(ctx, key, func(r *store.TagRecord) bool {
			removed := r.Untagged && r.PulledAt.IsZero()
			if r.Digest == "" || removed {
				return false
			}
			r.PulledAt, r.Untagged = now, false // it may have expired just now
			return true
		}))
	})
}

func (c *Cache) pulledPrecision() time.Duration {
	if c.expiryDelay <= 0 {
		return pulledPrecise
	}
	return min(pulledPrecise, c.expiryDelay/10)
}

func descriptorOf(rec *store.TagRecord) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: rec.MediaType, Digest: rec.Digest, Size: rec.Size}
}

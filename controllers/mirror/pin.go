package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/usage"
)

// pinned is what objects pin a tag to. Of several that do, the oldest counts.
type pinned struct {
	digest digest.Digest // empty: none does
	by     string        // the object
}

// pinTries are the tries to bring in the revision that a tag is to be pinned to.
type pinTries struct {
	digest  digest.Digest
	failure *failure // of the last; nil where there was none
	tries   int
	retryAt time.Time // no other before
}

// pinOf is an object's pin, in the cache's words.
func pinOf(dgst digest.Digest, platforms []string) cache.Pin {
	return cache.Pin{Digest: dgst, By: store.ByObject, Platforms: platforms}
}

// findPin finds out what the objects of an image pin it to.
func (r *Reconciler) findPin(ctx context.Context, p *pass) error {
	if p.ref.Digest != "" {
		return nil
	}
	all, err := usage.CachedImages(ctx, r.o.Client, p.ref)
	if err != nil {
		return err
	}
	p.pin = pinIn(all)
	if p.pin.by == p.found.Name { // what was read first is what the status is about
		p.pin.digest = digest.Digest(p.found.Spec.PinnedDigest)
	}
	return nil
}

// pinIn is what some objects of one image pin it to. They are ordered by name.
func pinIn(objects []v1alpha1.CachedImage) pinned {
	var oldest *v1alpha1.CachedImage
	for i := range objects {
		o := &objects[i]
		if o.Spec.PinnedDigest == "" || !o.DeletionTimestamp.IsZero() {
			continue
		}
		if oldest == nil || o.CreationTimestamp.Before(&oldest.CreationTimestamp) {
			oldest = o
		}
	}
	if oldest == nil {
		return pinned{}
	}
	return pinned{digest.Digest(oldest.Spec.PinnedDigest), oldest.Name}
}

// pinned says whether the tag is where objects pin it to, if they do.
func (p *pass) pinned() bool {
	return p.pin.digest == "" || p.stored.Pin.By == store.ByObject && p.stored.Digest == p.pin.digest
}

// settlePin pins the tag to what is stored, or unpins it, and says whether that changed anything.
func (r *Reconciler) settlePin(ctx context.Context, p *pass) (changed bool, err error) {
	switch {
	case !p.pinned():
		return r.o.Cache.PinStored(ctx, p.ref, pinOf(p.pin.digest, p.platforms))
	case p.pin.digest == "" && p.stored.Pin.By == store.ByObject:
		return true, r.unpin(ctx, p.ref)
	}
	return false, nil
}

func (r *Reconciler) unpin(ctx context.Context, ref imageref.Reference) error {
	err := r.o.Cache.Unpin(ctx, ref, store.ByObject)
	if errors.Is(err, cache.ErrNotPinned) || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// releasePin ends the pin of an object that is being deleted, unless another one pins the tag: that comes into force then.
func (r *Reconciler) releasePin(ctx context.Context, found *v1alpha1.CachedImage, ref imageref.Reference) error {
	if found.Spec.PinnedDigest == "" || ref.Digest != "" {
		return nil
	}
	all, err := usage.CachedImages(ctx, r.o.Client, ref)
	if err != nil {
		return err
	}
	if pinIn(all).digest != "" {
		r.queue.add(r.memory.names(ref)...)
		return nil
	}
	return r.unpin(ctx, ref)
}

// want begins anew where another revision is wanted than the last tries were about.
func (t *pinTries) want(p *pass) {
	if t.digest != p.pin.digest || p.pinned() {
		*t = pinTries{digest: p.pin.digest}
	}
}

// ended notes how a try ended. Its caller holds the memory's lock.
func (t *pinTries) ended(ref imageref.Reference, now time.Time, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		t.retryAt = time.Time{}
		return
	}
	t.tries++
	f := explain(imageref.Reference{Repository: ref.Repository, Digest: t.digest}, false, err)
	switch f.reason {
	case v1alpha1.ReasonNotFound:
		f.what = fmt.Sprintf("%s is not stored, and its origin does not have it", t.digest)
		f.advice = "correct spec.pinnedDigest, or remove it"
	case v1alpha1.ReasonNoPlatform:
		f.advice = "correct spec.pinnedDigest or the platforms of its Repository, or remove the pin"
	}
	if !f.sameAs(t.failure) {
		t.failure = &f
	}
	t.retryAt = now.Add(backoff(t.tries, f.stalled))
}

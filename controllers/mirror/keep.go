package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/store"
)

const (
	verifyEvery = time.Hour   // how often each image is looked at in the store (M3)
	movedWait   = time.Minute // after which a revision that the cache itself does not bring in is mirrored from here
)

// pass is one reconcile of an image that is to be kept: what is found at its beginning, and what follows from it.
type pass struct {
	now      time.Time
	found    *v1alpha1.CachedImage
	ref      imageref.Reference
	place    string // the hosts that the image comes from
	expired  bool
	previous v1alpha1.CachedImageStatus
	stored   cache.Image
	broken   error // the store could not be read
	pin      pinned

	// Of the memory, as it is once what is wanted has begun.
	platforms []string
	busy      bool // a mirror waits or runs
	out       bool // it was evicted, and stays so for now
	shown     shown
	failure   *failure
	mirrored  *mirrored
	retryAt   time.Time
	problem   *failure // why the last check was not answered
	unpinned  *failure // why the tag is not pinned yet
	refreshed string   // the value of the annotation that was handled last; with its answer
	answer    error
}

func (r *Reconciler) newPass(found *v1alpha1.CachedImage, ref imageref.Reference) *pass {
	p := &pass{now: r.o.Now(), found: found, ref: ref, place: r.o.Policies.Load().Place(ref.Repository)}
	p.expired = found.Spec.ExpiresAt != nil && !p.now.Before(found.Spec.ExpiresAt.Time)
	return p
}

// keep brings an image in where it is not, and says in its status what is there.
func (r *Reconciler) keep(ctx context.Context, found *v1alpha1.CachedImage, ref imageref.Reference) (ctrl.Result, error) {
	p := r.newPass(found, ref)
	idle, o := r.recall(p)
	if err := r.hold(ctx, found, o); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.findPin(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	r.look(ctx, p)
	r.act(p, o, idle)
	desired := r.describe(p)
	r.changes(p, o, &desired)
	wait, err := r.write(ctx, p, o, &desired)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.tell(p, o, &desired)
	if p.broken != nil {
		return ctrl.Result{}, p.broken
	}
	return ctrl.Result{RequeueAfter: p.next(wait)}, nil
}

// look looks at what is stored, once the tag is where it is to be by its pin. What has to be brought in for that is not waited for.
func (r *Reconciler) look(ctx context.Context, p *pass) {
	read := func() {
		if p.stored, p.broken = r.o.Cache.Image(ctx, p.ref, p.platforms); errors.Is(p.broken, store.ErrNotFound) {
			p.broken = nil
		}
	}
	read()
	if p.broken != nil {
		return
	}
	changed, err := r.settlePin(ctx, p)
	if changed {
		read()
	}
	if err != nil {
		p.broken = err
	}
}

// write makes the status what it should be. Where the informer is still behind what was written last, it does not write that again.
func (r *Reconciler) write(ctx context.Context, p *pass, o *object, desired *v1alpha1.CachedImageStatus) (wait time.Duration, err error) {
	version := p.found.ResourceVersion
	if (version == o.writtenTo || version == o.heldFrom) && equality.Semantic.DeepEqual(*desired, p.previous) {
		return 0, nil
	}
	o.writtenTo = ""
	if wait, err = status.ApplyImage(ctx, r.o.Client, status.Registry, p.found, *desired, p.now); err != nil {
		return 0, err
	}
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	if o.written = desired; wait == 0 {
		o.writtenTo = version
	}
	return wait, nil
}

// recall reads the memory before the store is read: what a mirror that ended since has brought in is seen then. Idle says that none runs.
func (r *Reconciler) recall(p *pass) (idle bool, o *object) {
	wanted := r.platforms(p.ref.Repository)
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	o = r.memory.enter(p.found, p.ref)
	o.image.platforms = wanted
	p.platforms = wanted
	p.previous = p.found.Status
	if o.written != nil { // newer than what the informer may have
		p.previous = *o.written
	}
	if o.image.tries == 0 && o.image.failure == nil {
		o.image.failure = saidBefore(&p.previous)
	}
	return o.image.attempt == nil, o
}

// act starts what is wanted, and notes in the pass how things stand then.
func (r *Reconciler) act(p *pass, o *object, idle bool) {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	im := o.image
	r.refresh(p, o)
	im.notice(&p.stored)
	if p.out = p.stayOut(); p.out { // a tombstone is nothing to show
		p.stored = cache.Image{}
	}
	im.pin.want(p)
	done := p.whole() && !p.stored.Untagged && !p.left()
	if done {
		im.failure, im.tries, im.retryAt = nil, 0, time.Time{}
	}
	if idle && im.attempt == nil && !p.out && !p.expired && p.broken == nil {
		r.begin(p, im, done)
	}
	if p.whole() {
		im.failure = nil
	}
	if im.attempt != nil {
		im.attempt.show(p)
	}
	p.refreshed, p.answer = o.handled, o.answer
	im.tell(p)
}

// tell has a pass say how things stand with an image. Its caller holds the memory's lock.
func (im *image) tell(p *pass) {
	p.failure, p.mirrored, p.retryAt, p.problem = im.failure, im.mirrored, im.due(&p.stored), im.problem
	if p.out {
		p.failure, p.retryAt = nil, time.Time{}
	}
	p.unpinned = im.pin.failure
	if at := im.pin.retryAt; !p.pinned() && (p.retryAt.IsZero() || at.Before(p.retryAt)) {
		p.retryAt = at
	}
}

// begin starts to bring in what an image lacks: the revision that it is to be pinned to first. Its caller holds the memory's lock.
func (r *Reconciler) begin(p *pass, im *image, done bool) {
	urgent := im.mirrored == nil && p.previous.LastSuccessfulPull == nil
	switch {
	case !p.pinned() && !p.now.Before(im.pin.retryAt):
		r.mirror(im, urgent, p.pin.digest)
	case !done && !p.now.Before(im.due(&p.stored)):
		r.mirror(im, urgent, "")
	}
}

// show has a pass say what was last shown of an attempt. Each blob that arrives is not worth a write. Nor is that it has brought all in: it
// says so itself in a moment, and what that took.
func (a *attempt) show(p *pass) {
	ends := p.whole() && a.pin == "" && slices.Equal(a.platforms, p.platforms)
	if a.shown.stored == nil {
		a.shown.stored = new(p.stored)
		if ends && a.before != nil {
			a.shown.stored = a.before
		}
	}
	a.before = a.shown.stored
	p.busy, p.shown = true, a.shown
	if !p.whole() || ends {
		p.stored = *a.shown.stored
	}
}

// notice keeps why checks are not answered: in the words of the first of several alike.
func (im *image) notice(stored *cache.Image) {
	if stored.Problem == nil {
		im.problem = nil
		return
	}
	if f := explain(im.ref, false, stored.Problem); !f.sameAs(im.problem) {
		im.problem = &f
	}
}

// due says when the next try may be. An origin that has answered since the last one is worth a try sooner.
func (im *image) due(stored *cache.Image) time.Time {
	if sooner := im.failedAt.Add(firstRetry); im.failure != nil && stored.CheckedAt.After(im.failedAt) && sooner.Before(im.retryAt) {
		return sooner
	}
	return im.retryAt
}

// whole says whether what is served is stored whole.
func (p *pass) whole() bool { return p.stored.Complete }

// differs says whether the origin has another revision than is served.
func (p *pass) differs() bool {
	return p.stored.Digest != "" && p.stored.Upstream != "" && p.stored.Digest != p.stored.Upstream
}

// moved says whether the tag is on its way to another revision, which its origin has.
func (p *pass) moved() bool { return p.differs() && p.stored.Pin.By == "" && !p.stored.Held }

// left says whether the tag moved, and the cache had the time to bring the new revision in (T5) but did not.
func (p *pass) left() bool { return p.moved() && p.now.Sub(p.stored.ChangedAt) >= movedWait }

// next says when to look at the image again; wait is what a timestamp waits for.
func (p *pass) next(wait time.Duration) time.Duration {
	next := verifyEvery - rand.N(verifyEvery/5)
	sooner := func(d time.Duration) {
		if d > 0 {
			next = min(next, d)
		}
	}
	sooner(wait)
	if !p.busy {
		sooner(p.retryAt.Sub(p.now))
	}
	if p.moved() {
		sooner(p.stored.ChangedAt.Add(movedWait).Sub(p.now))
	}
	if p.found.Spec.ExpiresAt != nil {
		sooner(p.found.Spec.ExpiresAt.Sub(p.now))
	}
	return next
}

package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/cache"
)

const (
	firstShown = time.Second     // after its start a mirror is shown: most have ended by then
	shownEvery = 5 * time.Second // how often its progress is
)

// attempt is a mirror that waits for its turn or runs.
type attempt struct {
	job       *job
	platforms []string
	pin       digest.Digest // the revision to bring in and pin the tag to; empty: the one that the tag is at
	progress  atomic.Pointer[cache.Progress]
	shown     shown        // guarded by memory
	before    *cache.Image // what was shown as stored last; guarded by memory
}

// shown is what the status says of an attempt. It changes seldom, so that the status does.
type shown struct {
	running bool
	percent string       // empty while nothing is known
	stored  *cache.Image // what was in the store then; nil: to be looked at
}

// mirrored is a mirror that brought an image in.
type mirrored struct {
	cache.Mirrored
	at   time.Time
	took time.Duration
}

// mirror starts to bring an image in, or the revision that its tag is to be pinned to. Its caller holds the memory's lock.
func (r *Reconciler) mirror(im *image, urgent bool, pin digest.Digest) {
	a := &attempt{platforms: im.platforms, pin: pin}
	im.attempt = a
	a.job = r.mirrors.add(r.o.Policies.Load().Place(im.ref.Repository), urgent, func(ctx context.Context) { r.bringIn(ctx, im, a) })
	a.shown.running = r.mirrors.started(a.job)
}

func (r *Reconciler) bringIn(ctx context.Context, im *image, a *attempt) {
	start := r.o.Now()
	stop := r.show(im, a)
	progress := func(p cache.Progress) { a.progress.Store(&p) }
	var got cache.Mirrored
	var err error
	if a.pin != "" {
		err = r.o.Cache.Pin(ctx, im.ref, pinOf(a.pin, a.platforms), progress)
	} else {
		got, err = r.o.Cache.Mirror(ctx, im.ref, a.platforms, progress)
	}
	stop()
	now := r.o.Now()
	r.memory.mu.Lock()
	im.ended(a, now, mirrored{got, now, now.Sub(start)}, err)
	names := slices.Collect(maps.Keys(im.objects))
	r.memory.mu.Unlock()
	r.queue.add(names...)
}

// show has the objects of an image reconciled while it is being brought in, until stop is called.
func (r *Reconciler) show(im *image, a *attempt) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for wait := firstShown; ; wait = shownEvery {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			r.memory.mu.Lock()
			a.shown = shown{running: true, percent: percent(a.progress.Load())}
			names := slices.Collect(maps.Keys(im.objects))
			r.memory.mu.Unlock()
			r.queue.add(names...)
		}
	}()
	return cancel
}

// percent words how far a mirror is. What it has not finished is not 100%.
func percent(p *cache.Progress) string {
	if p == nil || p.Total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", min(max(p.Done, 0)*100/p.Total, 99))
}

// ended notes how a mirror ended. Its caller holds the memory's lock.
func (im *image) ended(a *attempt, now time.Time, m mirrored, err error) {
	if im.attempt == a {
		im.attempt = nil
	}
	if a.job != nil && a.job.ctx.Err() != nil {
		return // nobody wants it any more
	}
	if a.pin != "" {
		im.pin.ended(im.ref, now, err)
		return
	}
	im.tries++
	switch {
	case err == nil:
		im.mirrored, im.failure = &m, nil
		im.retryAt = now.Add(backoff(im.tries, false)) // where that did not make it whole
	case errors.Is(err, context.Canceled):
		im.retryAt = now.Add(backoff(im.tries, false)) // the cache is ending
	default:
		f := explain(im.ref, m.Digest != "", err)
		if !f.sameAs(im.failure) {
			im.failure = &f
		}
		im.failedAt, im.retryAt = now, now.Add(backoff(im.tries, f.stalled))
	}
}

const (
	firstRetry, lastRetry = 5 * time.Second, 5 * time.Minute
	firstSlow, lastSlow   = 30 * time.Second, 15 * time.Minute // where a person has to act
)

// backoff says how long to wait after the nth try.
func backoff(n int, stalled bool) time.Duration {
	first, last := firstRetry, lastRetry
	if stalled {
		first, last = firstSlow, lastSlow
	}
	wait := last
	if n < 10 {
		wait = min(first<<(n-1), last)
	}
	return wait/2 + rand.N(wait/2)
}

package serve

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/opencontainers/go-digest"
)

const (
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
)

// wanted is an image that a CachedImage asks for, in a form that can be compared.
type wanted struct {
	ref       imageref.Reference
	platforms string // joined by commas; empty: all
	pinned    digest.Digest
}

// through is what mirrors need of the cache.
type through interface {
	control.Mirrorer
	Pin(ctx context.Context, ref imageref.Reference, pin cache.Pin, progress func(cache.Progress)) error
	// ReleasePins ends the pins of objects of which held does not say that they stand.
	ReleasePins(ctx context.Context, held func(imageref.Reference) bool)
}

// mirrors keeps the images of CachedImages in the store: each is mirrored once, and tried again until that succeeds. It
// never ends by an error. How many run at a time is the cache's to bound, for each host by itself.
type mirrors struct {
	through through
	metrics *metrics.Metrics
	log     logr.Logger
	running sync.WaitGroup
	states  *states
	cancel  map[wanted]context.CancelFunc
	pinned  map[imageref.Reference]bool // by the last set; nil before the first
}

func newMirrors(through through, counted *metrics.Metrics, log logr.Logger) *mirrors {
	return &mirrors{
		through: through, metrics: counted, log: log,
		states: newStates(counted.CachedImages), cancel: map[wanted]context.CancelFunc{},
	}
}

// run brings in what list returns, at once and after each signal of changed, until ctx ends.
func (m *mirrors) run(ctx context.Context, list func() []wanted, changed <-chan struct{}) {
	defer m.running.Wait()
	for {
		m.set(ctx, list())
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// set starts what is new and gives up what nobody asks for any more.
func (m *mirrors) set(ctx context.Context, images []wanted) {
	asked, pinned := make(map[wanted]bool, len(images)), map[imageref.Reference]bool{}
	for _, image := range images {
		asked[image] = true
		pinned[image.ref] = pinned[image.ref] || image.pinned != ""
	}
	for image, giveUp := range m.cancel {
		if !asked[image] {
			giveUp()
			delete(m.cancel, image)
			m.states.remove(image)
		}
	}
	if m.released(pinned) { // which looks at every tag
		m.through.ReleasePins(ctx, func(ref imageref.Reference) bool { return pinned[ref] })
	}
	for image := range asked {
		if _, known := m.cancel[image]; known {
			continue
		}
		mirrorCtx, cancel := context.WithCancel(ctx)
		m.cancel[image] = cancel
		m.states.set(image, pending)
		m.running.Go(func() { m.keep(mirrorCtx, image) })
	}
}

// released says whether a pin may have ended: since the last set or, at the first one, while no process ran.
func (m *mirrors) released(now map[imageref.Reference]bool) bool {
	before := m.pinned
	m.pinned = now
	if before == nil {
		return true
	}
	for ref, was := range before {
		if was && !now[ref] {
			return true
		}
	}
	return false
}

// keep tries until the image is stored, or ctx ends.
func (m *mirrors) keep(ctx context.Context, image wanted) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		retryIn := jitter(wait)
		if done := m.try(ctx, image, retryIn); done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryIn):
		}
	}
}

// try mirrors once, and says whether that is all.
func (m *mirrors) try(ctx context.Context, image wanted, retryIn time.Duration) bool {
	pinErr := m.pin(ctx, image, retryIn)
	start := time.Now()
	got, err := m.through.Mirror(ctx, image.ref, image.list(), nil)
	log := m.log.WithValues("image", image.ref.String(), "duration", time.Since(start).String())
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		m.ended(image, "failed", failing)
		log.Info("mirroring failed", "reason", control.Summary(err), "retryIn", retryIn.String())
		return false
	default:
		m.ended(image, "ok", ready)
		log.Info("mirrored", "digest", got.Digest.String(), "size", got.Size, "loaded", got.Loaded)
		return pinErr == nil
	}
}

// pin has an image's tag be at the revision that its object pins it to. Where that fails, the tag is mirrored as it is.
func (m *mirrors) pin(ctx context.Context, image wanted, retryIn time.Duration) error {
	if image.pinned == "" {
		return nil
	}
	err := m.through.Pin(ctx, image.ref, cache.Pin{Digest: image.pinned, By: store.ByObject, Platforms: image.list()}, nil)
	if err != nil && ctx.Err() == nil {
		m.log.Error(errors.New(control.Summary(err)), "pinning failed; the tag stays as it is", "image", image.ref.String(), "digest", image.pinned,
			"retryIn", retryIn.String())
	}
	return err
}

func (m *mirrors) ended(image wanted, outcome string, state state) {
	m.metrics.MirroredImages.WithLabelValues(outcome).Inc()
	m.states.set(image, state)
}

// wantedOf lists what the CachedImages of a set ask for.
func wantedOf(set *policy.Set) []wanted {
	images := set.Images()
	list := make([]wanted, 0, len(images))
	for _, image := range images {
		platforms := slices.Sorted(slices.Values(image.Platforms))
		list = append(list, wanted{ref: image.Reference, platforms: strings.Join(platforms, ","), pinned: image.Pinned})
	}
	return list
}

func (w wanted) list() []string {
	if w.platforms == "" {
		return nil
	}
	return strings.Split(w.platforms, ",")
}

// jitter spreads retries over the second half of wait.
func jitter(wait time.Duration) time.Duration {
	return wait/2 + rand.N(wait/2)
}

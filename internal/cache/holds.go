package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/upstream"
)

const (
	breakerFirst = time.Second      // T6: how long a breaker holds at first
	breakerLast  = time.Minute      // and at most, doubling
	rateDefault  = 30 * time.Second // a 429 without Retry-After
	rateLast     = 5 * time.Minute  // the longest Retry-After that is heeded
	subjectHold  = 30 * time.Second // 401, 403, 404
)

// holds keeps checks away from origins that failed (T6). A place's breaker stays open until a check is answered; the holds of
// a credential (429) and of a single subject (401, 403, 404) end by themselves. All live in memory only.
//
// A place is the host that a repository's images come from. Several, of which one that answers is enough, are a place of their own.
type holds struct {
	now     func() time.Time
	place   func(imageref.Repository) string
	metrics *metrics.Metrics

	mu       sync.Mutex
	breakers map[string]*breaker // by place

	rates    failures[account]
	subjects failures[subject]
}

// account is what an origin counts requests by.
type account struct{ place, credential string }

type breaker struct {
	err     error
	wait    time.Duration
	until   time.Time // no probe before
	probing bool
}

func newHolds(now func() time.Time, place func(imageref.Repository) string, m *metrics.Metrics) *holds {
	return &holds{
		now: now, place: place, metrics: m, breakers: map[string]*breaker{},
		rates: newFailures[account](now), subjects: newFailures[subject](now),
	}
}

// holding returns why s is not to be checked now, or nil; probe tells the caller to check all the same, in the background.
func (h *holds) holding(s subject, credential string) (probe bool, why error) {
	place := h.place(s.repo)
	h.mu.Lock()
	if b := h.breakers[place]; b != nil {
		probe = !b.probing && !h.now().Before(b.until)
		b.probing = b.probing || probe
		why = b.err
	}
	h.mu.Unlock()
	if why != nil {
		return probe, why
	}
	if why = h.rates.get(account{place, credential}); why != nil {
		return false, why
	}
	return false, h.subjects.get(s)
}

// open says whether a place's breaker is open.
func (h *holds) open(place string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.breakers[place] != nil
}

// answered notes how a check of s, or a request in its place, ended; nil is success.
func (h *holds) answered(s subject, err error) {
	place := h.place(s.repo)
	var up *upstream.Error
	if errors.Is(err, context.Canceled) {
		h.probed(place)
		return
	}
	if err != nil && !errors.As(err, &up) { // the origin answered; our own store failed
		h.close(place)
		h.subjects.add(s, err, subjectHold)
		return
	}
	if up != nil && up.Reason == upstream.Unreachable {
		h.fail(place, err)
		return
	}
	h.close(place)
	if up == nil {
		h.subjects.forget(s)
		return
	}
	switch up.Reason {
	case upstream.RateLimited:
		h.limit(place, up)
	case upstream.Denied, upstream.NotFound, upstream.Invalid, upstream.Refused:
		h.subjects.add(s, err, subjectHold)
	}
}

// limit notes a 429.
func (h *holds) limit(place string, up *upstream.Error) {
	wait := up.RetryAfter
	if wait <= 0 {
		wait = rateDefault
	}
	h.rates.add(account{place, up.Credential}, up, min(wait, rateLast))
}

// fail opens a place's breaker, or holds it open for longer.
func (h *holds) fail(place string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.breakers[place]
	switch {
	case b == nil:
		b = &breaker{wait: breakerFirst}
		h.breakers[place] = b
		h.metrics.Breaker.WithLabelValues(place).Set(1)
	case h.now().Before(b.until) && !b.probing:
		return // one of several that were under way when it opened
	default:
		b.wait = min(2*b.wait, breakerLast)
	}
	b.err, b.probing, b.until = err, false, h.now().Add(b.wait)
}

func (h *holds) close(place string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.breakers[place] != nil {
		delete(h.breakers, place)
		h.metrics.Breaker.WithLabelValues(place).Set(0)
	}
}

// probed lets the next probe go where one ended without telling anything about the place.
func (h *holds) probed(place string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.breakers[place]; b != nil {
		b.probing = false
	}
}

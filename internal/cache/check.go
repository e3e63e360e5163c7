package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// subject is what a check is about: a tag, a repository's tags, or what refers to a manifest.
type subject struct {
	repo imageref.Repository
	kind kind
	name string
}

type kind byte

const (
	tagSubject kind = iota
	tagsSubject
	referrersSubject
)

// checks are the running checks. A subject has one at a time.
type checks struct {
	mu      sync.Mutex
	running map[subject]*check
}

type check struct {
	done chan struct{} // closed when it was answered, or failed
	late chan struct{} // closed when it has run for checkTimeout
	err  error         // set before done is closed
	idle bool          // set before done is closed: nothing was asked, another had just been answered
}

// question is what to ask an origin about a subject. due says whether the stored answer has become too old, ask stores a new one
// before it returns.
type question struct {
	subject
	due func(context.Context) bool
	ask func(context.Context) error
}

var errLate = errors.New("the origin did not answer in time")

// confirm runs the check that is due, or joins it, and waits as long as T6 allows. It returns nil once the check was answered, else why
// the copy could not be confirmed; held back, that is at once. The error is the caller's own end.
func (c *Cache) confirm(ctx context.Context, q question) (why error, err error) {
	probe, why := c.holds.holding(q.subject, c.origin.Credential(q.repo))
	if probe {
		if _, started := c.joinCheck(q); !started { // one that runs already reports for itself
			c.holds.probed(c.origin.Place(q.repo))
		}
	}
	if why != nil {
		return why, nil
	}
	k, _ := c.joinCheck(q)
	select {
	case <-k.done:
		return k.err, nil
	case <-k.late:
		return late(c.origin.Place(q.repo)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// insist checks although checks may be held, and waits for the check to end: for those who may not be served a stale copy (T10).
func (c *Cache) insist(ctx context.Context, q question) (why error, err error) {
	k, _ := c.joinCheck(q)
	select {
	case <-k.done:
		return k.err, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// joinCheck returns the running check, or starts one. One that finds that another has just been answered asks nothing.
func (c *Cache) joinCheck(q question) (k *check, started bool) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if k := c.checks.running[q.subject]; k != nil {
		return k, false
	}
	k = &check{done: make(chan struct{}), late: make(chan struct{})}
	err := c.background(checkLife, func(ctx context.Context) {
		if q.due(ctx) {
			c.runCheck(ctx, q, k)
		} else {
			k.idle = true
			c.holds.probed(c.origin.Place(q.repo))
		}
		c.endCheck(q, k)
	})
	if err != nil {
		k.err = err
		close(k.done)
		return k, false
	}
	c.checks.running[q.subject] = k
	return k, true
}

func (c *Cache) endCheck(q question, k *check) {
	c.checks.mu.Lock()
	delete(c.checks.running, q.subject)
	c.checks.mu.Unlock()
	close(k.done)
}

func (c *Cache) runCheck(ctx context.Context, q question, k *check) {
	start := time.Now()
	timer := time.AfterFunc(c.checkTimeout, func() {
		place := c.origin.Place(q.repo)
		c.holds.fail(place, late(place))
		close(k.late)
	})
	k.err = q.ask(ctx)
	overdue := !timer.Stop()
	if overdue {
		<-k.late // what the breaker was told then is not to come after what follows
	}
	if c.ctx.Err() != nil {
		return
	}
	if !overdue || !unreachable(k.err) { // else the breaker knows: one check counts once
		c.holds.answered(q.subject, k.err)
	}
	c.checked(q, k.err, time.Since(start))
}

// checked counts a check, and tells the log of one that failed.
func (c *Cache) checked(q question, err error, took time.Duration) {
	if err == nil {
		return // counted by ask, which knows what the answer was
	}
	outcome := "error"
	if up, ok := errors.AsType[*upstream.Error](err); ok {
		outcome = string(up.Reason)
		if up.Timeout {
			outcome = "timeout"
		}
	}
	c.metrics.Checks.WithLabelValues(outcome).Inc()
	c.log.Error(err, "check failed", "repository", q.repo.String(), "reference", q.name, "origin", c.origin.Place(q.repo),
		"reason", reasonOf(err), "duration", took)
}

func late(place string) error {
	return &upstream.Error{Reason: upstream.Unreachable, Host: place, Timeout: true, Err: errLate}
}

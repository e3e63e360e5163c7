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
}

// question is what to ask an origin about a subject. ask stores the answer before it returns; due says whether the stored answer
// has become too old (it is called with locks held, and must be quick).
type question struct {
	subject
	due func() bool
	ask func(context.Context) error
}

var errLate = errors.New("the origin did not answer in time")

// confirm runs the check that is due, or joins it, and waits as long as T6 allows. It returns nil once the check was answered, else why
// the copy could not be confirmed; held back, that is at once. The error is the caller's own end.
func (c *Cache) confirm(ctx context.Context, q question) (why error, err error) {
	probe, why := c.holds.holding(q.subject, c.origin.Credential(q.repo))
	if why != nil {
		if probe && c.joinCheck(q) == nil {
			c.holds.probed(q.repo.Host)
		}
		return why, nil
	}
	k := c.joinCheck(q)
	if k == nil {
		return nil, nil
	}
	select {
	case <-k.done:
		return k.err, nil
	case <-k.late:
		return late(q.repo.Host), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// insist checks although checks may be held, and waits for the check to end: for those who may not be served a stale copy (T10).
func (c *Cache) insist(ctx context.Context, q question) (why error, err error) {
	k := c.joinCheck(q)
	if k == nil {
		return nil, nil
	}
	select {
	case <-k.done:
		return k.err, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// joinCheck returns the running check, or starts one; nil where one has just been answered.
func (c *Cache) joinCheck(q question) *check {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if k := c.checks.running[q.subject]; k != nil {
		return k
	}
	if !q.due() {
		return nil
	}
	k := &check{done: make(chan struct{}), late: make(chan struct{})}
	if err := c.background(checkLife, func(ctx context.Context) { c.runCheck(ctx, q, k) }); err != nil {
		k.err = err
		close(k.done)
		return k
	}
	c.checks.running[q.subject] = k
	return k
}

func (c *Cache) runCheck(ctx context.Context, q question, k *check) {
	start := time.Now()
	timer := time.AfterFunc(c.checkTimeout, func() {
		c.holds.fail(q.repo.Host, late(q.repo.Host))
		close(k.late)
	})
	k.err = q.ask(ctx)
	timer.Stop()
	if c.ctx.Err() == nil {
		c.holds.answered(q.subject, k.err)
		c.checked(q, k.err, time.Since(start))
	}
	c.checks.mu.Lock()
	delete(c.checks.running, q.subject)
	c.checks.mu.Unlock()
	close(k.done)
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
	c.log.Info("check failed", "repository", q.repo.String(), "reference", q.name, "origin", q.repo.Host,
		"reason", reasonOf(err), "error", err.Error(), "duration", took)
}

func late(host string) error {
	return &upstream.Error{Reason: upstream.Unreachable, Host: host, Timeout: true, Err: errLate}
}

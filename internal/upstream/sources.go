package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	rateAvoided    = 30 * time.Second // how long an origin that answered 429 is asked after the others, where it names no time
	maxRateAvoided = 5 * time.Minute
)

// sources returns the repositories that are asked for repo, in the order that is configured; never none.
func (c *Client) sources(repo imageref.Repository) []imageref.Repository {
	if c.from != nil {
		if sources := c.from(repo); len(sources) > 0 {
			return sources
		}
	}
	return []imageref.Repository{repo}
}

// first is the one of sources that counts where there can be but one.
func (c *Client) first(repo imageref.Repository) imageref.Repository {
	if c.from == nil {
		return repo
	}
	return c.sources(repo)[0]
}

// Place names the hosts that are asked for repo: one, or several ("registry.corp, docker.io").
func (c *Client) Place(repo imageref.Repository) string {
	if c.from == nil {
		return repo.Host
	}
	return imageref.Hosts(c.sources(repo))
}

// try runs op at the sources of repo, one after the other, until it succeeds. Any failure moves on to the next: an origin that does not
// have something, does not answer or says no. Only where all say 404 is that the answer; else it is the failure of the first that says
// something else. One that failed a moment ago is asked after the others.
func try[T any](ctx context.Context, c *Client, repo imageref.Repository, op func(context.Context, *attempt) (T, error)) (T, error) {
	sources := c.sources(repo)
	if len(sources) == 1 {
		return tryAt(ctx, c, sources[0], false, op)
	}
	var none T
	failures := make([]error, len(sources))
	order := c.inOrder(sources, time.Now())
	for n, i := range order {
		v, err := tryAt(ctx, c, sources[i], n < len(order)-1, op)
		if ctx.Err() == nil || err == nil {
			c.heard(sources[i].Host, err)
		}
		if err == nil {
			return v, nil
		}
		if failures[i] = err; ctx.Err() != nil {
			break
		}
	}
	return none, verdict(failures)
}

// inOrder returns the indexes of sources, those that failed a moment ago last.
func (c *Client) inOrder(sources []imageref.Repository, now time.Time) []int {
	order, avoided := make([]int, 0, len(sources)), []int(nil)
	for i, source := range sources {
		if o, err := c.origin(source.Host); err == nil && o.avoided(now) {
			avoided = append(avoided, i)
		} else {
			order = append(order, i)
		}
	}
	return slices.Concat(order, avoided)
}

// heard notes what came of asking a host to which there are alternatives.
func (c *Client) heard(host string, err error) {
	o, unknown := c.origin(host)
	if unknown != nil {
		return
	}
	var e *Error
	errors.As(err, &e)
	switch {
	case e == nil:
		o.avoidUntil.Store(0)
	case e.Reason == Unreachable:
		o.avoidFor(downFor)
	case e.Reason == RateLimited:
		o.avoidFor(min(cmp.Or(e.RetryAfter, rateAvoided), maxRateAvoided))
	}
}

func (o *origin) avoidFor(d time.Duration) { o.avoidUntil.Store(time.Now().Add(d).UnixNano()) }

// avoided says whether an origin is to be asked after others. When its time is over, one caller alone finds it so: that one asks it again
// while all others go on without waiting for it.
func (o *origin) avoided(now time.Time) bool {
	until := o.avoidUntil.Load()
	if until == 0 || now.UnixNano() < until {
		return until != 0
	}
	return !o.avoidUntil.CompareAndSwap(until, now.Add(downFor).UnixNano())
}

// verdict is what the caller is told of sources that all failed. nil stands for one that was not asked any more.
func verdict(failures []error) error {
	var told *Error
	at := -1
	for i, err := range failures {
		var e *Error
		if errors.As(err, &e) && (told == nil || told.Reason == NotFound && e.Reason != NotFound) {
			told, at = e, i
		}
	}
	if told == nil {
		return errors.Join(failures...)
	}
	e := *told
	for i, err := range failures {
		if err != nil && i != at {
			e.Err = fmt.Errorf("%w; %w", e.Err, err)
		}
	}
	if at > 0 {
		e.CredentialSet = "" // Client.CredentialSet names those of the first
	}
	return &e
}

package upstream

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

// tryAt runs op at the origin's endpoints, with one credential after the other, until it succeeds. In a hurry, no endpoint gets long to
// answer: others wait behind the origin.
//
// With each credential the endpoints are asked in turn. The one that is configured last is the origin itself, those before it are its
// mirrors. The error is the origin's: a mirror's word does not count against it. Mirrors are not shown what is for the origin alone, and
// are asked anonymously in its place. An endpoint is asked with the next credential where it
//   - denied the last one, or could not read it, or its token service did: a public image does not fail because a pull secret is wrong;
//   - answered 429, for origins count by credential; but then with no stranger's: that is no way out of a limit;
//   - answered 404 to a credential that has not worked there yet, or to none: registries hide private repositories behind it. A stranger
//     sees no more than a credential that was not denied, and is not tried after it.
//
// Where all are refused, the credentials are looked up again, in the same operation if they were not just found: a pull secret may have
// been created or replaced since.
func tryAt[T any](ctx context.Context, c *Client, repo imageref.Repository, hurry bool, op func(context.Context, *attempt) (T, error)) (T, error) {
	var none T
	o, err := c.reach(repo)
	if err != nil {
		return none, err
	}
	t := newTrial(c, o, repo)
	t.hurry = hurry
	for {
		set := o.find(ctx, repo, t.maxAge)
		v, ok := pass(ctx, t, set, op)
		if ok {
			t.succeeded(set)
			return v, nil
		}
		last := t.last()
		if last.weight < rateLimited && t.maxAge != credentialNew && set.old(time.Now()) && ctx.Err() == nil {
			t.maxAge = credentialNew
			continue
		}
		failure := t.failure(last)
		if last.weight == denied || last.weight == deniedToStrangers {
			set.deny()
		}
		if failure.Reason == Denied {
			failure.CredentialSet = set.name(c.secret)
		}
		return none, failure
	}
}

// pass tries the candidates that were not tried yet, until one works.
func pass[T any](ctx context.Context, t *trial, set *candidates, op func(context.Context, *attempt) (T, error)) (T, bool) {
	var none T
	order, proven := t.client.order(t.repo, set)
	t.proven = proven
	for _, credential := range order {
		for n, door := range t.doors {
			shown := door.shown(credential, set)
			if door.closed || door.noStranger && shown.anonymous() || door.asked[shown.id] {
				continue
			}
			a := &attempt{client: t.client, origin: t.origin, endpoint: door.endpoint, repo: t.repo, credential: shown}
			if t.hurry || n < len(t.doors)-1 {
				a.patience = patienceForOne
			}
			door.asked[shown.id] = true
			if shown == credential {
				t.tried[shown.id] = true
			}
			v, err := op(ctx, a)
			if err == nil {
				a.note(ctx, nil)
				t.works = shown
				if a.proved && !door.mirror {
					t.client.proven(t.repo, Proof{Credential: shown.config, Files: shown.mirrors && !shown.anonymous()})
				}
				return v, true
			}
			e := a.explain(err)
			a.note(ctx, e)
			t.judge(door, shown, e)
			if ctx.Err() != nil {
				return none, false
			}
		}
	}
	return none, false
}

// trial is one operation, tried with several credentials at several endpoints.
type trial struct {
	client *Client
	origin *origin
	repo   imageref.Repository
	doors  []*door // in the order in which they are asked
	hurry  bool    // see tryAt
	maxAge time.Duration
	proven *credential     // has worked for this repository before
	works  *credential     // what worked now
	tried  map[string]bool // ids of credentials; without anonymous where it stood in for one
}

// door is an endpoint, and what it said.
type door struct {
	endpoint   *endpoint
	index      int // as configured
	mirror     bool
	asked      map[string]bool // with which credentials, by their ids
	closed     bool
	noStranger bool // not to be asked anonymously any more
	failure    *Error
	weight     int
}

func newTrial(c *Client, o *origin, repo imageref.Repository) *trial {
	t := &trial{client: c, origin: o, repo: repo, maxAge: credentialTTL, tried: map[string]bool{}}
	for _, i := range o.order(time.Now()) {
		t.doors = append(t.doors, &door{endpoint: o.endpoints[i], index: i, mirror: i < len(o.endpoints)-1, asked: map[string]bool{}})
	}
	return t
}

// shown is the credential that a door is shown in the turn of one.
func (d *door) shown(c *credential, set *candidates) *credential {
	if d.mirror && !c.mirrors {
		return set.stranger()
	}
	return c
}

// How telling a failure is: the heaviest of an endpoint is its last word, the first among equals.
const (
	hiddenFromStrangers = iota + 1 // 404, where credentials were denied
	deniedToStrangers
	denied
	notFound
	rateLimited
	conclusive // no credential would change it
)

// judge notes what an endpoint said to a credential, and whether it is worth asking it with another.
func (t *trial) judge(d *door, c *credential, e *Error) {
	weight := conclusive
	stranger := c.anonymous()
	switch {
	case e.elsewhere: // the word of a host that was given no credential
	case e.Reason == Denied, e.ofToken, !stranger && badRequest(e):
		weight = denied
		if stranger {
			weight = deniedToStrangers
		}
	case e.Reason == RateLimited:
		weight = rateLimited
		d.noStranger = true
		if stranger && c == t.proven {
			t.client.accepted.Remove(t.repo) // the credentials go first again
		}
	case e.Reason == NotFound && stranger:
		weight = hiddenFromStrangers
		if c == t.proven {
			weight = notFound
		}
	case e.Reason == NotFound && c != t.proven:
		weight = notFound
		d.noStranger = true
	}
	d.closed = weight == conclusive
	if weight > d.weight {
		d.failure, d.weight = e, weight
	}
}

// badRequest says whether it may be the credential that the origin could not read.
func badRequest(e *Error) bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestHeaderFieldsTooLarge
}

// last returns the endpoint whose word counts: of those that were asked, the one that is configured last.
func (t *trial) last() *door {
	var last *door
	for _, d := range t.doors {
		if d.failure != nil && (last == nil || d.index > last.index) {
			last = d
		}
	}
	return last
}

// failure is what the caller is told of an endpoint's word. The Error is the caller's own.
func (t *trial) failure(d *door) *Error {
	e := *d.failure
	if n := len(t.tried); n > 1 && d.weight <= denied {
		what := "credentials tried"
		if t.tried[anonymous] {
			what += ", anonymous among them"
		}
		e.Err = fmt.Errorf("%w (%d %s)", e.Err, n, what)
	}
	return &e
}

// succeeded remembers what worked, and tells the log where it is not what should have.
func (t *trial) succeeded(set *candidates) {
	if !t.tried[t.works.id] {
		return // a mirror needed none
	}
	if refused := len(t.tried) - 1; refused > 0 {
		t.client.log.Info("a credential was refused, another one works", "repository", t.repo.String(), "refused", refused,
			"credential", t.works.name)
	}
	t.client.accept(t.repo, set, t.works)
}

package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

const (
	confirmTimeout = 15 * time.Second // how long a question runs on that nobody waits for any more
	deniedFor      = 30 * time.Second // how long a no is remembered, for that credential
	failedFor      = 10 * time.Second // and an answer that is neither yes nor no
	maxAnswers     = 4096             // remembered
	maxTried       = 8                // credentials of which one request asks the origin
)

var errLate = errors.New("it has not answered in time")

// answer is what an origin said of a credential, other than yes.
type answer struct {
	err   error
	until time.Time
}

// question is one credential, to be confirmed for one repository.
type question struct {
	repo       imageref.Repository
	origin     imageref.Repository // that is asked
	id         string              // of the grant that a yes makes
	name       string              // of the credential: its fingerprint
	credential authn.AuthConfig
	namespaces []string // of all who claim it
}

// confirm asks the origin about a credential, once for all who need to know, and keeps a yes. The question belongs to none of them: it runs
// on when they are gone, so that who comes again finds its answer.
func (k *Keeper) confirm(ctx context.Context, q question, probe upstream.Probe) error {
	if err := k.lastAnswer(q, probe); err != nil {
		return err
	}
	name, about := q.names(probe)
	done := k.flight.DoChan(about, func() (any, error) { return nil, k.ask(name, about, q, probe) })
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return errLate
	}
}

// names are by what an answer is remembered: of the credential, and of the credential and what it was tried on.
func (q *question) names(probe upstream.Probe) (of, about string) {
	of = q.repo.String() + " " + q.name
	return of, of + " " + probe.Reference + probe.Blob.String()
}

// lastAnswer is one, other than yes, that an origin gave a moment ago; nil where there is none.
func (k *Keeper) lastAnswer(q question, probe upstream.Probe) error {
	of, about := q.names(probe)
	for _, name := range []string{of, about} {
		if said, ok := k.denials.Get(name); ok && k.o.Now().Before(said.until) {
			return said.err
		}
	}
	return nil
}

func (k *Keeper) ask(name, about string, q question, probe upstream.Probe) error {
	leave, err := k.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(k.ctx, confirmTimeout)
	defer cancel()
	err = k.origin.Confirm(ctx, q.origin, q.credential, probe)
	if err == nil {
		k.o.Metrics.GrantChecks.WithLabelValues("granted").Inc()
		k.denials.Remove(name)
		k.book.Add(ctx, q.repo, Grant{ID: q.id, Namespaces: q.namespaces, GrantedAt: k.o.Now().UTC()})
		return nil
	}
	hold, outcome := failedFor, "unavailable"
	var a answers
	switch a.add(err); {
	case a.denied != nil:
		hold, outcome = deniedFor, "denied"
	case a.notFound != nil:
		name, outcome = about, "not_found"
	}
	k.o.Metrics.GrantChecks.WithLabelValues(outcome).Inc()
	if k.ctx.Err() == nil {
		k.denials.Add(name, answer{err, k.o.Now().Add(hold)})
	}
	return err
}

// questions makes one of each credential of claims, in their order.
func questions(repo imageref.Repository, record *Record, claims []Claim) []question {
	var all []question
	for _, c := range claims {
		id, name := record.id(repo, c), fingerprint(record.key, c.origin, c.Credential)
		i := slices.IndexFunc(all, func(q question) bool { return q.id == id && q.name == name })
		if i < 0 {
			all, i = append(all, question{repo: repo, origin: c.origin, id: id, name: name, credential: c.Credential}), len(all)
		}
		if c.Namespace != "" && !slices.Contains(all[i].namespaces, c.Namespace) {
			all[i].namespaces = append(all[i].namespaces, c.Namespace)
		}
	}
	return all
}

// confirmAny asks about one credential after the other, until one is good.
func (k *Keeper) confirmAny(ctx context.Context, asked []question, probe upstream.Probe, said *answers) bool {
	tried := 0
	for _, q := range asked {
		if err := k.lastAnswer(q, probe); err != nil { // costs nobody a try
			said.add(err)
			continue
		}
		if tried++; tried > maxTried {
			said.add(fmt.Errorf("%d credentials are more than one request asks about", len(asked)))
			return false
		}
		err := k.confirm(ctx, q, probe)
		if err == nil {
			return true
		}
		said.add(err)
		if ctx.Err() != nil {
			return false
		}
	}
	return false
}

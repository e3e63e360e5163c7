package upstream

import (
	"context"
	"slices"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	maxCandidates = 16 // credentials that one operation tries, anonymous not counted
	maxAccepted   = 4096
	// strangerTTL is how long anonymous goes first after it was all that worked: some day a credential may work again, and an origin
	// allows it more requests.
	strangerTTL = time.Hour
)

// candidates are the credentials that come into question for a repository.
type candidates struct {
	list     []*credential // each once, in the order of their sources; anonymous is the last
	findings []*finding    // where they come from: one of each source
}

func newCandidates(findings []*finding) *candidates {
	s := &candidates{findings: findings}
	for _, f := range findings {
		for _, c := range f.credentials {
			i := slices.IndexFunc(s.list, func(known *credential) bool { return known.id == c.id })
			switch {
			case i < 0:
				s.list = append(s.list, c)
			case c.mirrors:
				s.list[i] = c
			}
		}
	}
	s.list = append(s.list, &credential{id: anonymous, name: anonymous, mirrors: true})
	return s
}

// stranger is anonymous.
func (s *candidates) stranger() *credential { return s.list[len(s.list)-1] }

// name tells sets of candidates apart. It reveals nothing.
func (s *candidates) name(secret []byte) string {
	var parts []string
	for _, f := range s.findings {
		parts = append(parts, f.stamp)
	}
	for _, c := range s.list {
		parts = append(parts, c.id)
	}
	return keyedHash(secret, parts...)[:12]
}

// old says whether something of a set was found so long ago that it may have been replaced since.
func (s *candidates) old(now time.Time) bool {
	return slices.ContainsFunc(s.findings, func(f *finding) bool { return now.Sub(f.at) >= credentialNew })
}

// deny has the set looked up again before it is used again.
func (s *candidates) deny() {
	for _, f := range s.findings {
		f.denied.Store(true)
	}
}

// find returns the candidates for a repository, found no longer than maxAge ago.
func (o *origin) find(ctx context.Context, repo imageref.Repository, maxAge time.Duration) *candidates {
	waits := make([]func(context.Context) *finding, 0, len(o.keychains))
	for _, k := range o.keychains {
		waits = append(waits, k.begin(repo, maxAge))
	}
	findings := make([]*finding, 0, len(waits))
	for _, wait := range waits {
		findings = append(findings, wait(ctx))
	}
	return newCandidates(findings)
}

// known returns the candidates that were found last, without waiting. What nobody asked for yet is looked up in the background, and so is,
// where renew says so, what was denied and may have been replaced since.
func (o *origin) known(repo imageref.Repository, renew bool) *candidates {
	findings := make([]*finding, 0, len(o.keychains))
	for _, k := range o.keychains {
		f, stamp := k.known(repo)
		if f == nil {
			f = &finding{stamp: stamp}
			k.begin(repo, credentialTTL)
		} else if renew && f.denied.Load() && time.Since(f.at) >= credentialNew {
			k.begin(repo, credentialTTL)
		}
		findings = append(findings, f)
	}
	return newCandidates(findings)
}

// accepted is the credential that an origin accepted last for a repository.
type accepted struct {
	id    string
	set   string // anonymous goes first among the same candidates only
	until time.Time
}

// accept remembers which of several candidates worked.
func (c *Client) accept(repo imageref.Repository, s *candidates, works *credential) {
	if len(s.list) == 1 {
		return
	}
	before, _ := c.accepted.Peek(repo)
	now := time.Now()
	next := accepted{id: works.id}
	if works.anonymous() {
		next.set, next.until = s.name(c.secret), now.Add(strangerTTL)
		if before.id == next.id && before.set == next.set && now.Before(before.until) {
			return
		}
	}
	if before != next {
		c.accepted.Add(repo, next)
	}
}

// order returns the candidates in the order in which to try them: what worked last goes first, and then proven is it.
func (c *Client) order(repo imageref.Repository, s *candidates) (order []*credential, proven *credential) {
	last, ok := c.accepted.Get(repo)
	if !ok {
		return s.shortened(s.list), nil
	}
	i := slices.IndexFunc(s.list, func(known *credential) bool { return known.id == last.id })
	if i < 0 || last.id == anonymous && (last.set != s.name(c.secret) || !time.Now().Before(last.until)) {
		return s.shortened(s.list), nil
	}
	proven = s.list[i]
	return s.shortened(slices.Concat(s.list[i:i+1], s.list[:i], s.list[i+1:])), proven
}

// shortened keeps an operation from trying without end. Anonymous stays.
func (s *candidates) shortened(order []*credential) []*credential {
	if len(order) <= maxCandidates+1 {
		return order
	}
	short := slices.Clone(order[:maxCandidates])
	if !slices.ContainsFunc(short, (*credential).anonymous) {
		short = append(short, s.stranger())
	}
	return short
}

// Credential names the credential that a request for repo would try first, as Error.Credential does: the one that worked last, or that
// A3 puts first; "anonymous" where none is known. Of several sources the first counts. It never waits: what is not known yet is looked up in the background.
func (c *Client) Credential(repo imageref.Repository) string {
	repo = c.first(repo)
	o, err := c.origin(repo.Host)
	if err != nil {
		return anonymous
	}
	order, _ := c.order(repo, o.known(repo, false))
	return order[0].name
}

// CredentialSet names all credentials that come into question for repo, as Error.CredentialSet does. It changes when another credential
// is found, or is looked for elsewhere. It never waits: credentials that were denied are looked up again in the background.
func (c *Client) CredentialSet(repo imageref.Repository) string {
	repo = c.first(repo)
	o, err := c.origin(repo.Host)
	if err != nil {
		return anonymous
	}
	return o.known(repo, true).name(c.secret)
}

package upstream

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/singleflight"
)

// sessionKey is what a token is good for.
type sessionKey struct {
	endpoint   *endpoint
	host       string // the endpoint's, or one that it redirects to, with the scheme
	repository string
	credential string
}

// session keeps the authorization of one credential for one repository, and renews it once for all who need it.
type session struct {
	issuer *issuer
	flight singleflight.Group

	mu        sync.Mutex
	current   *authorization
	challenge *transport.Challenge // what current answers; nil: ask again
}

// authorization is what a session's requests carry. It is immutable; its address tells which one a request had.
type authorization struct {
	header  string // "" where none is wanted
	scheme  string
	scopes  []string
	renew   time.Time // when a new one should be asked for; zero: never
	expires time.Time
}

// covers says whether a challenge asks for no more than what a was made for.
func (a *authorization) covers(challenge *transport.Challenge) bool {
	scope := challenge.Parameters["scope"]
	return strings.EqualFold(a.scheme, challenge.Scheme) && (scope == "" || slices.Contains(a.scopes, scope))
}

func (a *authorization) due(now time.Time) bool { return !a.renew.IsZero() && now.After(a.renew) }

func (a *authorization) expired(now time.Time) bool {
	return !a.expires.IsZero() && now.After(a.expires)
}

// session returns the session in which an attempt asks base: the endpoint, or a host that it redirects to.
func (a *attempt) session(base *url.URL, c *credential) *session {
	key := sessionKey{a.endpoint, base.Scheme + "://" + base.Host, a.repo.Path, c.id}
	if s, ok := a.client.sessions.Get(key); ok {
		return s
	}
	s := &session{issuer: &issuer{attempt: a, base: base, credential: c}}
	if earlier, ok, _ := a.client.sessions.PeekOrAdd(key, s); ok {
		return earlier
	}
	return s
}

// authorized makes a call with the authorization of its session. An answer of 401 renews the authorization once.
func (a *attempt) authorized(ctx context.Context, c call) (*http.Response, error) {
	if !sameOrigin(c.url, a.endpoint.base) {
		resp, err := a.roundTrip(ctx, c, "")
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		return a.abroad(ctx, c, resp)
	}
	s := a.session(a.endpoint.base, a.credential)
	auth, fresh, err := s.authorize(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := a.roundTrip(ctx, c, auth.header)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if !sameOrigin(resp.Request.URL, a.endpoint.base) {
		return a.abroad(ctx, c, resp)
	}
	if fresh && auth.covers(challengeOf(resp)) {
		return resp, nil
	}
	return s.again(ctx, a, c, resp, auth)
}

// abroad answers the challenge of another registry to which the origin redirects (lscr.io does): anonymously, for the
// credential is the origin's.
func (a *attempt) abroad(ctx context.Context, c call, resp *http.Response) (*http.Response, error) {
	if !isBearer(challengeOf(resp)) {
		return resp, nil
	}
	c.url = resp.Request.URL
	s := a.session(&url.URL{Scheme: c.url.Scheme, Host: c.url.Host}, &credential{id: anonymous, name: anonymous})
	auth := s.peek()
	if auth != nil && !auth.expired(time.Now()) {
		drain(resp)
		var err error
		if resp, err = a.roundTrip(ctx, c, auth.header); err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
	}
	return s.again(ctx, a, c, resp, auth)
}

// again repeats a call that was answered with 401, with another authorization than auth (nil: it had none). Where there
// can be no other, the answer stands.
func (s *session) again(ctx context.Context, a *attempt, c call, resp *http.Response, auth *authorization) (*http.Response, error) {
	challenge := challengeOf(resp)
	if challenge.Scheme == "" || auth != nil && auth.covers(challenge) && !isBearer(challenge) {
		return resp, nil
	}
	drain(resp)
	auth, err := s.renewed(ctx, auth, challenge)
	if err != nil {
		return nil, err
	}
	return a.roundTrip(ctx, c, auth.header)
}

func (s *session) peek() *authorization {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// authorize returns the session's authorization, and whether it was made just now.
func (s *session) authorize(ctx context.Context) (*authorization, bool, error) {
	current := s.peek()
	if current != nil && !current.due(time.Now()) {
		return current, false, nil
	}
	next, err := s.renewed(ctx, current, nil)
	if err != nil && current != nil && !current.expired(time.Now()) {
		return current, false, nil
	}
	return next, true, err
}

// renewed replaces old, once for all callers that found it wanting. The renewal belongs to none of them: one that gives
// up does not fail the others.
func (s *session) renewed(ctx context.Context, old *authorization, challenge *transport.Challenge) (*authorization, error) {
	done := s.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		return s.load(ctx, old, challenge)
	})
	select {
	case result := <-done:
		auth, _ := result.Val.(*authorization)
		return auth, result.Err
	case <-ctx.Done():
		cause := context.Cause(ctx)
		e := fault(Unreachable, "waiting for the token of %s: %w", bareURL(s.issuer.base), cause)
		e.Timeout = isTimeout(cause)
		return nil, e
	}
}

// load asks for a new authorization, unless old has been replaced already.
func (s *session) load(ctx context.Context, old *authorization, challenge *transport.Challenge) (*authorization, error) {
	s.mu.Lock()
	current := s.current
	if challenge == nil {
		challenge = s.challenge
	}
	s.mu.Unlock()
	if current != old {
		return current, nil
	}
	next, challenge, err := s.issuer.issue(ctx, challenge)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.challenge = challenge
	if err != nil {
		s.challenge = nil
		return nil, err
	}
	s.current = next
	return next, nil
}

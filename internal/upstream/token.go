package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	tokenTimeout    = 15 * time.Second
	defaultLifetime = 60 * time.Second // of a token that does not tell its own (distribution's token specification)
	maxRenewMargin  = 30 * time.Second
)

// issuer gets authorizations for a session.
type issuer struct {
	attempt    *attempt
	base       *url.URL // whom the authorization is for
	credential *credential
}

// issue answers a challenge. Without one it asks the endpoint for it.
func (i *issuer) issue(ctx context.Context, challenge *transport.Challenge) (*authorization, *transport.Challenge, error) {
	if challenge == nil {
		var err error
		if challenge, err = i.attempt.knownChallenge(ctx); err != nil {
			return nil, nil, err
		}
	}
	auth, err := i.answer(ctx, challenge)
	if err != nil {
		i.attempt.endpoint.challenge.Store(nil) // perhaps its token service moved
	}
	return auth, challenge, err
}

func (i *issuer) answer(ctx context.Context, challenge *transport.Challenge) (*authorization, error) {
	config := i.credential.config
	switch {
	case isBearer(challenge) && config.RegistryToken != "":
		return &authorization{scheme: "bearer", header: "Bearer " + config.RegistryToken}, nil
	case isBearer(challenge):
		return i.exchange(ctx, challenge)
	case strings.EqualFold(challenge.Scheme, "basic") && i.credential.name != anonymous:
		return &authorization{scheme: "basic", header: "Basic " + basic(config)}, nil
	default:
		return &authorization{scheme: challenge.Scheme}, nil
	}
}

func basic(config authn.AuthConfig) string {
	if config.Username == "" && config.Auth != "" {
		return config.Auth
	}
	return base64.StdEncoding.EncodeToString([]byte(config.Username + ":" + config.Password))
}

// exchange asks the token service that a challenge names for a token.
func (i *issuer) exchange(ctx context.Context, challenge *transport.Challenge) (*authorization, error) {
	realm, err := i.realm(challenge)
	if err != nil {
		return nil, err
	}
	// The registry is only what the library compares the realm with. What may be connected to is the guard's decision,
	// and a token service may well have a private address.
	registry, err := name.NewRegistry(realm.Host)
	if err != nil {
		return nil, fault(Invalid, "the challenge of %s names no usable token service", bareURL(i.base))
	}
	parameters := maps.Clone(challenge.Parameters)
	parameters["realm"] = realm.String()
	scopes := []string{"repository:" + i.attempt.repo.Path + ":pull"}
	if want := challenge.Parameters["scope"]; want != "" && !slices.Contains(scopes, want) {
		scopes = append([]string{want}, scopes...) // some services look at the first only
	}
	asked := time.Now()
	token, err := transport.Exchange(ctx, registry, i.authenticator(), tokenTripper{i.attempt}, scopes,
		&transport.Challenge{Scheme: "bearer", Parameters: parameters, Insecure: realm.Scheme == "http"})
	if err != nil {
		return nil, tokenFault(realm, err)
	}
	return newBearer(token, scopes, asked), nil
}

// realm reads the token service's URL. Plain HTTP is for origins that are spoken to in plain HTTP.
func (i *issuer) realm(challenge *transport.Challenge) (*url.URL, error) {
	realm, err := url.Parse(challenge.Parameters["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != "http" {
		return nil, fault(Invalid, "the challenge of %s names no usable token service", bareURL(i.base))
	}
	if realm.Scheme == "http" && i.base.Scheme != "http" {
		return nil, fault(Refused, "getting a token: %w", &refusal{bareURL(realm), "it is plain HTTP, for an origin with https"})
	}
	realm.User = nil
	return realm, nil
}

func (i *issuer) authenticator() authn.Authenticator {
	if i.credential.name == anonymous {
		return authn.Anonymous
	}
	return authn.FromConfig(i.credential.config)
}

func newBearer(token *transport.Token, scopes []string, asked time.Time) *authorization {
	lifetime := time.Duration(token.ExpiresIn) * time.Second
	if lifetime <= 0 {
		lifetime = defaultLifetime
	}
	value := token.AccessToken
	if value == "" {
		value = token.Token
	}
	return &authorization{
		header:  "Bearer " + value,
		scheme:  "bearer",
		scopes:  scopes,
		renew:   asked.Add(lifetime - min(lifetime/10, maxRenewMargin)),
		expires: asked.Add(lifetime),
	}
}

// tokenFault words the failure of a token service anew: the library's own words quote answers, and those hold tokens.
func tokenFault(realm *url.URL, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if ctxErr := bare(err); isTimeout(err) || errors.Is(err, context.Canceled) {
		e := fault(Unreachable, "getting a token from %s: %w", bareURL(realm), ctxErr)
		e.Timeout = isTimeout(err)
		return e
	}
	return fault(Invalid, "getting a token from %s: not the answer of a token service", bareURL(realm))
}

// tokenTripper carries the library's requests to a token service under the attempt's own rules. What fails is an *Error.
type tokenTripper struct{ attempt *attempt }

func (t tokenTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.attempt.count("token", req)
	if err != nil {
		return nil, err
	}
	// A service without OAuth 2 answers 404 to POST; the library then uses GET.
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound && req.Method == http.MethodPost {
		return resp, nil
	}
	defer resp.Body.Close()
	e := statusFault(resp)
	e.ofToken = resp.StatusCode >= 400 && e.Reason != RateLimited && e.Reason != Unreachable
	if e.Reason == NotFound {
		e.Reason = Invalid // the image may well exist
	}
	return nil, e
}

// knownChallenge returns what the endpoint answered to a ping, now or before.
func (a *attempt) knownChallenge(ctx context.Context) (*transport.Challenge, error) {
	if challenge := a.endpoint.challenge.Load(); challenge != nil {
		return challenge, nil
	}
	challenge, err := a.ping(ctx)
	if err != nil {
		return nil, err
	}
	a.endpoint.challenge.Store(challenge)
	return challenge, nil
}

// ping asks the endpoint how it wants to be authorized. A registry that is strange here may be good elsewhere: a
// challenge can still come with the answer to a request.
func (a *attempt) ping(ctx context.Context) (*transport.Challenge, error) {
	resp, err := a.roundTrip(ctx, call{kind: "ping", method: http.MethodGet, url: a.endpoint.url("", nil)}, "")
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if reason := reasonOf(resp.StatusCode); reason == Unreachable || reason == RateLimited {
		return nil, statusFault(resp)
	}
	if resp.StatusCode != http.StatusUnauthorized || !sameOrigin(resp.Request.URL, a.endpoint.base) {
		return &transport.Challenge{}, nil
	}
	return challengeOf(resp), nil
}

func isBearer(c *transport.Challenge) bool { return strings.EqualFold(c.Scheme, "bearer") }

// somewhere is a name from which the library infers https, and so makes one request.
var somewhere, _ = name.NewRegistry("origin.invalid")

// challengeOf reads the challenge of a 401, by the library's Ping: what it is given to read is an answer we have.
func challengeOf(resp *http.Response) *transport.Challenge {
	challenge, err := transport.Ping(resp.Request.Context(), somewhere, answered(resp.Header))
	if err != nil {
		return &transport.Challenge{}
	}
	return challenge
}

// answered is a round tripper that has its 401 already.
type answered http.Header

func (a answered) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header(a), Body: http.NoBody, Request: req}, nil
}

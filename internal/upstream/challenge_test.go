package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

// challenged answers challenges with a user's password where there is no network.
type challenged struct {
	client *Client
	base   *url.URL
	plain  bool // whether a connection without TLS was asked for
}

func (c *challenged) answer(ctx context.Context, header string) (string, *authorization, error) {
	off := errors.New("no network")
	through := newLink(c.client.env, &guard{self: c.client.self}, nil)
	through.transport.Proxy = nil
	through.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		c.plain = true
		return nil, off
	}
	through.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, off }
	user := &credential{id: "user", name: "user", config: authn.AuthConfig{Username: "user", Password: "hunter2"}}
	a := &attempt{client: c.client, endpoint: &endpoint{base: c.base, link: through}, repo: app("reg.test"), credential: user}
	req := (&http.Request{Method: http.MethodGet, URL: c.base}).WithContext(ctx)
	challenge := challengeOf(&http.Response{Request: req, Header: http.Header{"Www-Authenticate": {header}}})
	auth, err := (&issuer{attempt: a, base: c.base, credential: user}).answer(ctx, challenge)
	return challenge.Scheme, auth, err
}

// FuzzChallenge reads what an origin asks for, by the library and by ours, up to the connection to its token service.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="https://auth.test/token",service="reg.test",scope="repository:team/app:pull"`, `bearer realm=https://auth.test`,
		`Bearer realm="http://auth.test/token"`, `Bearer realm="https://user:pass@auth.test:1/"`, `Bearer realm="https://%zz"`,
		`Bearer realm="//auth.test"`, `Bearer`, `Bearer realm="https://auth.test/token",realm="http://other.test"`, `Basic realm="x"`, `BASIC`,
		`Basic realm="x", Bearer realm="https://auth.test"`, `Negotiate`, `Bearer scope="a,b",realm="https://[::1]:0/?a=b#c"`, `=,"`, ``,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	client, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	f.Fuzz(func(t *testing.T, header string, secure bool) {
		c := &challenged{client: client, base: &url.URL{Scheme: "http", Host: "reg.test"}}
		if secure {
			c.base.Scheme = "https"
		}
		scheme, auth, err := c.answer(t.Context(), header)
		if secure && c.plain {
			t.Errorf("%q leads from https to a token service in plain HTTP", header)
		}
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: got error %v (%T), want an *Error without the password", header, err, err)
			}
			return
		}
		if given := auth.header != ""; given != strings.EqualFold(scheme, "basic") {
			t.Errorf("%q was read as %q and answered with %q", header, scheme, auth.header)
		}
	})
}

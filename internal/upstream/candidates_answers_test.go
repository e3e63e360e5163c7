package upstream

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hiding is an origin that answers the users it does not let in with 404, or with a status of their own.
func hiding(t *testing.T, statuses map[string]int) (c *Client, p *purse, calls func() []string) {
	t.Helper()
	var mu sync.Mutex
	var users []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		user, _, _ := r.BasicAuth()
		mu.Lock()
		defer mu.Unlock()
		users = append(users, user)
		if status := statuses[user]; status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		serveManifest(w, r)
	})
	p = &purse{}
	c = newClientWith(t, Options{Registries: []Registry{at("hub.test", s.URL)}, Credentials: p})
	return c, p, func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := users
		users = nil
		return got
	}
}

func TestCandidates_WhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		statuses map[string]int
		users    []string
		want     []string
		reason   Reason
	}{
		{"404 hides from a tenant what another may see", map[string]int{"a": 404, "b": 200}, []string{"a", "b"}, []string{"a", "b"}, ""},
		{"404 to a credential is no question for a stranger", map[string]int{"a": 404, "": 200}, []string{"a"}, []string{"a"}, NotFound},
		{"404 to a stranger says nothing where a credential was denied", map[string]int{"a": 403, "": 404}, []string{"a"}, []string{"a", ""}, Denied},
		{"404 to a stranger alone", map[string]int{"": 404}, nil, []string{""}, NotFound},
		{"404 outweighs a denial", map[string]int{"a": 403, "b": 404}, []string{"a", "b"}, []string{"a", "b"}, NotFound},
		{"429 to one credential", map[string]int{"a": 429, "b": 200}, []string{"a", "b"}, []string{"a", "b"}, ""},
		{"429 is not evaded anonymously", map[string]int{"a": 429, "": 200}, []string{"a"}, []string{"a"}, RateLimited},
		{"429 outweighs the rest", map[string]int{"a": 429, "b": 403, "c": 404}, []string{"a", "b", "c"}, []string{"a", "b", "c"}, RateLimited},
		{"400 may be the credential's fault", map[string]int{"a": 400, "b": 431, "c": 200}, []string{"a", "b", "c"}, []string{"a", "b", "c"}, ""},
		{"400 to a stranger ends it", map[string]int{"": 400}, nil, []string{""}, Invalid},
		{"5xx ends it", map[string]int{"a": 503, "b": 200}, []string{"a", "b"}, []string{"a"}, Unreachable},
		{"Anonymous last", map[string]int{"a": 401, "": 200}, []string{"a"}, []string{"a", ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, p, calls := hiding(t, tt.statuses)
			p.fill("", tt.users...)
			err := pull(t, c)
			if tt.reason == "" {
				must(t, err)
			} else {
				_ = wantError(t, err, tt.reason)
			}
			if diff := cmp.Diff(tt.want, calls()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCandidates_404OfWhatWorkedIsBelieved(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"a": 403, "b": 200}
	c, p, calls := hiding(t, statuses)
	p.fill("", "a", "b")
	must(t, pull(t, c))
	calls()
	statuses["b"] = 404
	_ = wantError(t, pull(t, c), NotFound)
	if diff := cmp.Diff([]string{"b"}, calls()); diff != "" {
		t.Error(diff)
	}
}

// An origin of which everything is public answers 404 to a stranger who has been let in before.
func TestCandidates_404OfAStrangerThatWorkedIsBelieved(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"a": 403, "": 200}
	c, p, calls := hiding(t, statuses)
	p.fill("", "a")
	must(t, pull(t, c))
	calls()
	statuses[""] = 404
	_ = wantError(t, pull(t, c), NotFound)
	if diff := cmp.Diff([]string{"", "a"}, calls()); diff != "" {
		t.Errorf("it may have become private:\n%s", diff)
	}
	statuses["a"] = 200
	must(t, pull(t, c))
}

func TestCandidates_StrangersLimitPutsCredentialsFirst(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"a": 403, "": 200}
	c, p, calls := hiding(t, statuses)
	p.fill("", "a")
	must(t, pull(t, c))
	if c.Credential(app("hub.test")) != anonymous {
		t.Errorf("got %q, want what worked", c.Credential(app("hub.test")))
	}
	calls()
	statuses[""], statuses["a"] = 429, 403
	if e := wantError(t, pull(t, c), RateLimited); e.Credential != anonymous {
		t.Errorf("the limit is that of %s, want anonymous", e.Credential)
	}
	if name := c.Credential(app("hub.test")); name == anonymous {
		t.Error("the stranger's limit holds back the credential")
	}
	statuses["a"] = 200
	calls()
	must(t, pull(t, c))
	if diff := cmp.Diff([]string{"a"}, calls()); diff != "" {
		t.Error(diff)
	}
}

package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/larder-dev/larder/internal/imageref"
	testorigin "github.com/larder-dev/larder/tests/origin"
)

// purse is a source of credentials that a test fills.
type purse struct {
	mu      sync.Mutex
	configs []authn.AuthConfig
	stamp   string
	finds   int
	err     error
}

func (p *purse) Find(context.Context, imageref.Repository) ([]authn.AuthConfig, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finds++
	return slices.Clone(p.configs), p.err
}

func (p *purse) Stamp(imageref.Repository) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stamp
}

// fill replaces the credentials by those of users, whose passwords are told after a colon.
func (p *purse) fill(stamp string, users ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configs, p.stamp = nil, stamp
	for _, user := range users {
		name, password, _ := strings.Cut(user, ":")
		p.configs = append(p.configs, authn.AuthConfig{Username: name, Password: password})
	}
}

func (p *purse) found() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finds
}

// private is an origin that wants tokens, and a client that has a purse and a credentials file (file:good) for it.
func private(t *testing.T, users ...testorigin.User) (*testorigin.Origin, *Client, *purse) {
	t.Helper()
	o := testorigin.New(t, testorigin.WithTokens(users...))
	img, err := random.Image(64, 1)
	must(t, err)
	o.Push(t, "team/app:latest", img)
	p := &purse{}
	entry := at("hub.test", o.URL())
	entry.CredentialsFile = writeFile(t, `{"auths":{"hub.test":{"username":"file","password":"good"}}}`)
	return o, newClientWith(t, Options{Registries: []Registry{entry}, Credentials: p, UserAgent: "larder/test"}), p
}

func pull(t *testing.T, c *Client) error {
	t.Helper()
	_, _, err := c.ResolveManifest(t.Context(), app("hub.test"), "latest")
	return err
}

// asked lists the users for whom tokens were asked for; "" is anonymous.
func asked(o *testorigin.Origin) []string {
	users := []string{}
	for _, r := range o.Requests(testorigin.Tokens()) {
		basic, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
		decoded, _ := base64.StdEncoding.DecodeString(basic)
		user, _, _ := strings.Cut(string(decoded), ":")
		users = append(users, user)
	}
	return users
}

// heads counts the HEADs that reached the registry, challenged or not.
func heads(o *testorigin.Origin) int {
	return o.Count(testorigin.Everything().By(http.MethodHead))
}

// backdate makes what was found look as if it had been found long ago.
func backdate(c *Client, host string) {
	for _, k := range c.listed[host].keychains {
		for _, f := range k.found.Values() {
			f.at = time.Now().Add(-time.Minute)
		}
	}
}

func TestCandidates_A3_TriedInOrderUntilOneWorks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		users []testorigin.User
		want  []string
	}{
		{"The first", []testorigin.User{{Name: "one", Password: "good"}, {Name: "file", Password: "good"}}, []string{"one"}},
		{"The second", []testorigin.User{{Name: "two", Password: "good"}, {Name: "file", Password: "good"}}, []string{"one", "two"}},
		{"A login without permission", []testorigin.User{
			{Name: "one", Password: "good", Pulls: []string{"other/*"}}, {Name: "two", Password: "good"}}, []string{"one", "two"}},
		{"The file's", []testorigin.User{{Name: "file", Password: "good"}, {}}, []string{"one", "two", "file"}},
		{"Anonymous", []testorigin.User{{}}, []string{"one", "two", "file", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, c, p := private(t, tt.users...)
			p.fill("", "one:good", "two:good", "one:good")
			must(t, pull(t, c))
			if diff := cmp.Diff(tt.want, asked(o)); diff != "" {
				t.Errorf("tokens were asked for by:\n%s", diff)
			}
			o.Forget()
			for range 3 {
				must(t, pull(t, c))
			}
			if n, tokens := o.Count(testorigin.Everything()), o.Count(testorigin.Tokens()); n != 3 || tokens != 0 || heads(o) != 3 {
				t.Errorf("three warm checks took %d requests, %d of them for tokens, want one HEAD each", n, tokens)
			}
			if p.found() != 1 {
				t.Errorf("%d lookups, want 1", p.found())
			}
		})
	}
}

func TestCandidates_AllDenied(t *testing.T) {
	t.Parallel()
	o, c, p := private(t, testorigin.User{Name: "right", Password: "good"})
	p.fill("", "one:s3cret1", "two:s3cret2")
	e := wantError(t, pull(t, c), Denied)
	if !strings.Contains(e.Error(), "4 credentials tried, anonymous among them") || strings.Contains(e.Error(), "s3cret") ||
		strings.Contains(e.Error(), "two") {
		t.Errorf("got %v", e)
	}
	if e.CredentialSet == "" || e.CredentialSet != c.CredentialSet(app("hub.test")) {
		t.Errorf("denied to set %q, the client's is %q", e.CredentialSet, c.CredentialSet(app("hub.test")))
	}
	if want := newCredential(authn.AuthConfig{Username: "one", Password: "s3cret1"}, c.secret).name; e.Credential != want {
		t.Errorf("the error is that of %s, want that of the first credential", e.Credential)
	}
	if p.found() != 1 {
		t.Errorf("%d lookups for credentials that were just found, want 1", p.found())
	}
	p.fill("", "right:good")
	must(t, pull(t, c))
	if got := asked(o); p.found() != 2 || got[len(got)-1] != "right" {
		t.Errorf("%d lookups, the last token for %q; want the next operation to look again", p.found(), got[len(got)-1])
	}
	if c.CredentialSet(app("hub.test")) == e.CredentialSet {
		t.Error("the set has the name of the one that was denied")
	}
}

func TestCandidates_RotatedSecretWorksAtOnce(t *testing.T) {
	t.Parallel()
	o, c, p := private(t, testorigin.User{Name: "one", Password: "old"})
	p.fill("", "one:old")
	must(t, pull(t, c))
	o.SetUsers(testorigin.User{Name: "one", Password: "new"})
	o.ExpireTokens()
	p.fill("", "one:new")
	backdate(c, "hub.test")
	must(t, pull(t, c))
	source := c.listed["hub.test"].keychains[0]
	wait := source.begin(app("hub.test"), credentialTTL)
	if f := wait(t.Context()); p.found() != 2 || len(f.credentials) != 1 {
		t.Errorf("%d credentials after %d lookups, want 1 after 2", len(f.credentials), p.found())
	}
}

func TestCandidates_OneThatFitsIntoNoRequestHurtsNobody(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]authn.AuthConfig{
		"A token of two lines":  {RegistryToken: "a\nb"},
		"A login of two lines":  {Auth: "OnBh\nc3M="},
		"A password of 100 KiB": {Username: "a", Password: strings.Repeat("x", 100<<10)},
	} {
		for how, want := range map[string]func(...testorigin.User) testorigin.Option{"basic": testorigin.WithBasic, "tokens": testorigin.WithTokens} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				o := testorigin.New(t, want(testorigin.User{Name: "good", Password: "good"}))
				o.Push(t, "team/app:latest", testorigin.RandomImage(1, 4<<10))
				p := &purse{configs: []authn.AuthConfig{bad, {Username: "good", Password: "good"}}}
				must(t, pull(t, newClientWith(t, Options{Registries: []Registry{at("hub.test", o.URL())}, Credentials: p})))
			})
		}
	}
}

func TestCandidates_DeniedSetIsRenewedInTheBackground(t *testing.T) {
	t.Parallel()
	_, c, p := private(t, testorigin.User{Name: "one", Password: "new"})
	p.fill("", "one:old")
	e := wantError(t, pull(t, c), Denied)
	p.fill("", "one:new")
	backdate(c, "hub.test")
	for deadline := time.Now().Add(time.Minute); c.CredentialSet(app("hub.test")) == e.CredentialSet; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the set keeps the name of the one that was denied")
		}
	}
	must(t, pull(t, c))
}

func TestCandidates_StampDropsWhatWasFound(t *testing.T) {
	t.Parallel()
	_, c, p := private(t, testorigin.User{Name: "two", Password: "good"})
	p.fill("1", "one:good")
	e := wantError(t, pull(t, c), Denied)
	p.fill("2", "two:good")
	if c.CredentialSet(app("hub.test")) == e.CredentialSet {
		t.Error("the set keeps its name though other secrets come into question")
	}
	must(t, pull(t, c))
}

func TestCandidates_ExpiredSecretOfAPublicImage(t *testing.T) {
	t.Parallel()
	o, c, p := private(t, testorigin.User{})
	p.fill("", "one:expired")
	must(t, pull(t, c))
	o.Forget()
	o.ExpireTokens()
	must(t, pull(t, c))
	if diff := cmp.Diff([]string{""}, asked(o)); diff != "" {
		t.Errorf("tokens were asked for by:\n%s", diff)
	}
	p.fill("2", "one:renewed")
	o.SetUsers(testorigin.User{}, testorigin.User{Name: "one", Password: "renewed"})
	o.Forget()
	must(t, pull(t, c))
	if diff := cmp.Diff([]string{"one"}, asked(o)); diff != "" {
		t.Errorf("credentials go before anonymous once others are found:\n%s", diff)
	}
}

// A token service that answers a bad password with 400 refuses it too.
func TestCandidates_TokenServiceThatRefuses(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			o := newTokenOrigin(t)
			o.issue = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					w.WriteHeader(status)
					return
				}
				o.issueToken(w, r)
			}
			p := &purse{}
			p.fill("", "one:bad")
			c := newClientWith(t, Options{Registries: []Registry{o.entry()}, Credentials: p})
			must(t, pull(t, c))
		})
	}
}

func TestCandidates_FailingSourceKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	_, c, p := private(t, testorigin.User{Name: "one", Password: "good"})
	p.fill("", "one:good")
	must(t, pull(t, c))
	p.fill("")
	p.err = errors.New("down")
	for _, k := range c.listed["hub.test"].keychains {
		for _, f := range k.found.Values() {
			f.until = time.Now()
		}
	}
	must(t, pull(t, c))
	if p.found() != 2 {
		t.Errorf("%d lookups, want 2", p.found())
	}
}

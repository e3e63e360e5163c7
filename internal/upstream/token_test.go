package upstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
)

const (
	manifestBody = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// tokenOrigin is a registry that wants tokens of a service on another port, as Docker Hub does.
type tokenOrigin struct {
	registry, service *httptest.Server

	pings, tokens, requests atomic.Int64 // how many arrived
	lifetime                int          // told as expires_in
	issue                   http.HandlerFunc

	mu    sync.Mutex
	valid map[string]bool
	asked []string // the token service's queries
}

func newTokenOrigin(t *testing.T) *tokenOrigin {
	t.Helper()
	o := &tokenOrigin{lifetime: 300, valid: map[string]bool{}}
	o.issue = o.issueToken
	o.service = serve(t, func(w http.ResponseWriter, r *http.Request) {
		o.tokens.Add(1)
		o.issue(w, r)
	})
	o.registry = serve(t, o.serveRegistry)
	return o
}

func (o *tokenOrigin) issueToken(w http.ResponseWriter, r *http.Request) {
	token := "token-" + rand.Text()
	o.mu.Lock()
	o.valid[token] = true
	o.asked = append(o.asked, r.URL.RawQuery+" "+r.Header.Get("Authorization"))
	o.mu.Unlock()
	fmt.Fprintf(w, `{"token":%q,"expires_in":%d}`, token, o.lifetime)
}

// revoke makes every token worthless.
func (o *tokenOrigin) revoke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.valid)
}

func (o *tokenOrigin) serveRegistry(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	authorized := o.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	o.mu.Unlock()
	ping := r.URL.Path == "/v2/"
	if ping {
		o.pings.Add(1)
	} else {
		o.requests.Add(1)
	}
	if !authorized {
		challenge := fmt.Sprintf(`Bearer realm="%s/token",service="test"`, o.service.URL)
		if !ping {
			challenge += `,scope="repository:team/app:pull"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.Contains(r.URL.Path, "/blobs/") {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("0123456789", 100)))
		return
	}
	serveManifest(w, r)
}

func serveManifest(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", manifestType)
	w.Header().Set("Docker-Content-Digest", digest.FromString(manifestBody).String())
	w.Header().Set("Content-Length", fmt.Sprint(len(manifestBody)))
	fmt.Fprint(w, manifestBody)
}

func (o *tokenOrigin) counts() [3]int64 {
	return [3]int64{o.pings.Load(), o.tokens.Load(), o.requests.Load()}
}

func (o *tokenOrigin) entry() Registry { return at("hub.test", o.registry.URL) }

func TestToken_OneForManyRequests(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	c := newClient(t, o.entry())
	for range 5 {
		_, _, err := c.ResolveManifest(t.Context(), app("hub.test"), "latest")
		must(t, err)
	}
	if diff := cmp.Diff([3]int64{1, 1, 5}, o.counts()); diff != "" {
		t.Errorf("pings, tokens, requests:\n%s", diff)
	}
	if want := "scope=repository%3Ateam%2Fapp%3Apull&service=test "; o.asked[0] != want {
		t.Errorf("asked for a token with %q, want %q", o.asked[0], want)
	}
}

func TestToken_ConcurrentDenialsCauseOneRequest(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	c := newClient(t, o.entry())
	_, err := c.Manifest(t.Context(), app("hub.test"), "latest")
	must(t, err)
	for round := range 3 {
		o.revoke()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.Manifest(context.Background(), app("hub.test"), "latest"); err != nil {
					t.Errorf("getting a manifest: %v", err)
				}
			})
		}
		wg.Wait()
		if got, want := o.tokens.Load(), int64(round+2); got != want {
			t.Fatalf("%d token requests after round %d, want %d", got, round, want)
		}
	}
}

func TestToken_RenewedBeforeItExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			expiresIn   int
			renew, ends time.Duration
		}{{300, 270 * time.Second, 300 * time.Second}, {3600, 3570 * time.Second, time.Hour}, {0, 54 * time.Second, time.Minute}} {
			auth := newBearer(&transport.Token{Token: "t", ExpiresIn: tt.expiresIn}, nil, time.Now())
			if auth.due(time.Now().Add(tt.renew)) || !auth.due(time.Now().Add(tt.renew+1)) ||
				auth.expired(time.Now().Add(tt.ends)) || !auth.expired(time.Now().Add(tt.ends+1)) {
				t.Errorf("expires_in %d: %+v", tt.expiresIn, auth)
			}
		}
	})
}

func TestToken_ExpiredOneIsReplacedWithoutBeingTried(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	c := newClient(t, o.entry())
	_, err := c.Manifest(t.Context(), app("hub.test"), "latest")
	must(t, err)
	for _, s := range c.sessions.Values() {
		old := *s.current
		old.renew, old.expires = time.Now().Add(-time.Second), time.Now().Add(time.Minute)
		s.current = &old
	}
	_, err = c.Manifest(t.Context(), app("hub.test"), "latest")
	must(t, err)
	if diff := cmp.Diff([3]int64{1, 2, 2}, o.counts()); diff != "" {
		t.Errorf("pings, tokens, requests:\n%s", diff)
	}
}

func TestToken_B3_ResumesABlobAfterTheTokenExpired(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	c := newClient(t, o.entry())
	blob := digest.FromString("any")
	first, err := c.Blob(t.Context(), app("hub.test"), blob, 0, -1)
	must(t, err)
	must(t, first.Body.Close())
	o.revoke()
	rest, err := c.Blob(t.Context(), app("hub.test"), blob, 990, -1)
	must(t, err)
	if got := string(readAll(t, rest)); got != "0123456789" || rest.Offset != 990 || rest.Size != 1000 {
		t.Errorf("got %q from %d of %d", got, rest.Offset, rest.Size)
	}
}

func TestToken_CallerThatLeavesFailsNobody(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	asked, release := make(chan struct{}), make(chan struct{})
	o.issue = func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		o.issueToken(w, r)
	}
	c := newClient(t, o.entry())
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := c.Manifest(ctx, app("hub.test"), "latest")
		left <- err
	}()
	<-asked
	stayed := make(chan error, 1)
	go func() {
		_, err := c.Manifest(context.Background(), app("hub.test"), "latest")
		stayed <- err
	}()
	cancel()
	_ = wantError(t, <-left, Unreachable)
	close(release)
	must(t, <-stayed)
	if got := o.tokens.Load(); got != 1 {
		t.Errorf("%d token requests, want 1", got)
	}
}

func TestToken_FailureIsClassified(t *testing.T) {
	t.Parallel()
	const secret = `{"token":"s3cret-token"}`
	for _, tt := range []struct {
		name   string
		issue  http.HandlerFunc
		reason Reason
		status int
		retry  time.Duration
	}{
		{"Wrong password", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusUnauthorized) }, Denied, 401, 0},
		{"Forbidden", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusForbidden) }, Denied, 403, 0},
		{"Not found is not the image", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, 404) }, Invalid, 404, 0},
		{"Server error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusServiceUnavailable) }, Unreachable, 503, 0},
		{"Rate limit", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		}, RateLimited, 429, 7 * time.Second},
		{"Broken connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, 0, 0},
		{"No token in the answer", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"refresh_token":"s3cret-token"}`) }, Invalid, 0, 0},
		{"Not JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `s3cret-token`) }, Invalid, 0, 0},
		{"A token that is not accepted", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) }, Denied, 401, 0},
		{"A redirect to cloud metadata", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/?token=s3cret-token", http.StatusFound)
		}, Refused, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newTokenOrigin(t)
			o.issue = tt.issue
			c := newClient(t, o.entry())
			_, err := c.Manifest(t.Context(), app("hub.test"), "latest")
			e := wantError(t, err, tt.reason)
			if e.Status != tt.status || e.RetryAfter != tt.retry {
				t.Errorf("got status %d, retry after %s", e.Status, e.RetryAfter)
			}
			if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, "scope=") {
				t.Errorf("the error tells too much: %s", text)
			}
			if got := o.tokens.Load(); got != 1 {
				t.Errorf("%d token requests, want 1", got)
			}
		})
	}
}

func TestToken_CredentialsGoToTheTokenServiceAlone(t *testing.T) {
	t.Parallel()
	o := newTokenOrigin(t)
	entry := o.entry()
	entry.CredentialsFile = writeFile(t, `{"auths":{"hub.test":{"auth":"dXNlcjpwYXNz"}}}`) // user:pass
	c := newClient(t, entry)
	_, err := c.Manifest(t.Context(), app("hub.test"), "latest")
	must(t, err)
	if want := "scope=repository%3Ateam%2Fapp%3Apull&service=test Basic dXNlcjpwYXNz"; o.asked[0] != want {
		t.Errorf("asked for a token with %q, want %q", o.asked[0], want)
	}
}

func TestToken_PlainRealmOfASecureOriginIsRefused(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	service := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, service.URL))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(origin.Close)
	c := newClient(t, Registry{Host: "hub.test", Endpoints: []string{origin.URL}, InsecureSkipVerify: true})
	_, err := c.Manifest(t.Context(), app("hub.test"), "latest")
	_ = wantError(t, err, Refused)
	if asked.Load() != 0 {
		t.Error("the token service was asked in plain HTTP")
	}
}

func TestToken_BasicAuth(t *testing.T) {
	t.Parallel()
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "pass" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serveManifest(w, r)
	})
	entry := at("basic.test", origin.URL)
	_, err := newClient(t, entry).Manifest(t.Context(), app("basic.test"), "latest")
	if e := wantError(t, err, Denied); e.Credential != "anonymous" {
		t.Errorf("credential %q, want anonymous", e.Credential)
	}
	entry.CredentialsFile = writeFile(t, `{"auths":{"basic.test/team":{"username":"user","password":"pass"}}}`)
	_, err = newClient(t, entry).Manifest(t.Context(), app("basic.test"), "latest")
	must(t, err)
	entry.CredentialsFile = writeFile(t, `{"auths":{"basic.test":{"username":"user","password":"s3cret"}}}`)
	_, err = newClient(t, entry).Manifest(t.Context(), app("basic.test"), "latest")
	if e := wantError(t, err, Denied); len(e.Credential) != 12 || strings.Contains(e.Error(), "s3cret") {
		t.Errorf("credential %q in %v", e.Credential, e)
	}
}

// A registry that moved (as lscr.io did to ghcr.io) redirects to one with a challenge of its own.
func TestToken_RegistryThatRedirectsToAnother(t *testing.T) {
	t.Parallel()
	target := newTokenOrigin(t)
	moved := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.registry.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	entry := at("moved.test", moved.URL)
	entry.CredentialsFile = writeFile(t, `{"auths":{"moved.test":{"auth":"dXNlcjpwYXNz"}}}`)
	c := newClient(t, entry)
	for range 2 {
		_, err := c.Manifest(t.Context(), app("moved.test"), "latest")
		must(t, err)
	}
	target.revoke()
	_, err := c.Manifest(t.Context(), app("moved.test"), "latest")
	must(t, err)
	if got := target.tokens.Load(); got != 2 {
		t.Errorf("%d token requests, want 2", got)
	}
	for _, asked := range target.asked {
		if strings.Contains(asked, "Basic") {
			t.Errorf("the credentials were given to another host: %s", asked)
		}
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

package faults

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

var alice = origin.User{Name: "alice", Password: "wonderland"}

// newPrivateSite starts a process that has alice's credentials for o, which is process.Host.
func newPrivateSite(t *testing.T, o *origin.Origin) *site {
	t.Helper()
	s := newPlainSite(t, o)
	auth := base64.StdEncoding.EncodeToString([]byte(alice.Name + ":" + alice.Password))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{process.Host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Write(t, "config.json", string(config))
	s.configure(t, "registries:", registry(process.Host, o, "credentialsFile: config.json"))
	s.Restart(t)
	return s
}

// TestHostile_CredentialsStayWithTheirHost has an origin that knows alice send Larder elsewhere in every way that there is. Its own
// CDN complains by itself of credentials (see origin.WithCDN).
func TestHostile_CredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		site  []origin.Option
		arm   func(o, other *origin.Origin)
		fails bool // the pull of the whole image
		away  bool // the other host was asked at all
	}{
		{name: "A CDN", site: options(origin.WithTokens(alice), origin.WithCDN())},
		{name: "A CDN behind basic authentication", site: options(origin.WithBasic(alice), origin.WithCDN())},
		{
			name: "Blobs redirected to another registry", site: options(origin.WithTokens(alice)), away: true,
			arm: func(o, other *origin.Origin) { o.Fail(origin.Blobs(), origin.Redirect(other.URL())) },
		},
		{
			name: "Manifests redirected to another registry", site: options(origin.WithTokens(alice)), away: true,
			arm: func(o, other *origin.Origin) { o.Fail(origin.Manifests(), origin.Redirect(other.URL())) },
		},
		{
			name: "The same behind basic authentication", site: options(origin.WithBasic(alice)), away: true,
			arm: func(o, other *origin.Origin) { o.Fail(documents(), origin.Redirect(other.URL())) },
		},
		{
			name: "Tokens redirected to another registry", site: options(origin.WithTokens(alice)), away: true, fails: true,
			arm: func(o, other *origin.Origin) { o.Fail(origin.Tokens(), origin.Redirect(other.URL())) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, other := origin.New(t, test.site...), origin.New(t, origin.WithTokens(origin.User{}))
			s := newPrivateSite(t, o)
			content := origin.RandomImage(1, layerSize)
			img := o.Push(t, "app:1", content)
			other.Push(t, "app:1", content)
			if test.arm != nil {
				test.arm(o, other)
			}
			base := s.url(process.Host, "app")
			if test.fails {
				if a := ask(t, http.MethodGet, base+"/manifests/1"); a.err != nil || a.status < 400 {
					t.Errorf("got %v, want a refusal", a)
				}
			} else {
				pull(t, base, img)
			}
			if away := other.Count(origin.Everything()) > 0; away != test.away {
				t.Errorf("the other registry was asked: %v, want %v", away, test.away)
			}
			checkSecrets(t, o, other)
		})
	}
}

// checkSecrets fails the test where the other registry saw what was for o.
func checkSecrets(t *testing.T, o, other *origin.Origin) {
	t.Helper()
	var secrets []string
	for _, r := range o.Requests(origin.Everything()) {
		if auth := r.Header.Get("Authorization"); auth != "" && !slices.Contains(secrets, auth) {
			secrets = append(secrets, auth)
		}
	}
	if len(secrets) == 0 {
		t.Error("the origin saw no credentials")
	}
	for _, r := range other.Requests(origin.Everything()) {
		auth := r.Header.Get("Authorization")
		if strings.HasPrefix(auth, "Basic ") || slices.Contains(secrets, auth) {
			t.Errorf("%s %s: the other registry got %q", r.Method, r.Path, auth)
		}
	}
}

// TestHostile_ClientsCredentialsAreNotForwarded has a client send what only concerns Larder.
func TestHostile_ClientsCredentialsAreNotForwarded(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	img := o.Push(t, "app:1", origin.RandomImage(1, origin.MinLayerSize))
	const secret = "between the client and Larder"
	fields := []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Registry-Auth", "X-Forwarded-For", "Referer", "User-Agent", "Accept"}
	var header []string
	for _, field := range fields {
		header = append(header, field, secret)
	}
	base := s.url(process.Host, "app")
	for _, path := range []string{
		"/manifests/1?secret=" + secret[:7], "/manifests/" + img.Digest.String(), "/blobs/" + img.Blobs[1].Digest.String(),
		"/tags/list", "/referrers/" + img.Digest.String(),
	} {
		if a := ask(t, http.MethodGet, base+path, header...); a.status != http.StatusOK {
			t.Errorf("got %v", a)
		}
	}
	for _, r := range o.Requests(origin.Everything()) {
		for field, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), secret) {
				t.Errorf("%s %s: the origin got %s: %q", r.Method, r.Path, field, values)
			}
		}
		if strings.Contains(r.Query, "secret") {
			t.Errorf("%s %s: the origin got the query %q", r.Method, r.Path, r.Query)
		}
	}
	if strings.Contains(s.Said(), secret) || strings.Contains(s.Said(), "secret=") {
		t.Error("the log holds the client's secret")
	}
}

// TestFault_B3_ATokenExpiresInTheMiddleOfABlob has the connection break when the token that it began with is good no more.
func TestFault_B3_ATokenExpiresInTheMiddleOfABlob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		site   []origin.Option
		breaks origin.Match
	}{
		{"At the registry", options(origin.WithTokens(alice)), origin.Blobs()},
		{"At its CDN", options(origin.WithTokens(alice), origin.WithCDN()), origin.CDN()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, test.site...)
			s := newPrivateSite(t, o)
			img := o.Push(t, "app:1", origin.RandomImage(1, layerSize))
			base, layer := s.url(process.Host, "app"), img.Blobs[1]
			whole.check(t, ask(t, http.MethodGet, base+"/manifests/1"), img.Digest)
			pause := o.Fail(test.breaks.Nth(1), origin.StallAfter(cutBlob), origin.ResetAfter(cutBlob))
			finish := begin(t, base+"/blobs/"+layer.Digest.String(), cutBlob/2)
			o.ExpireTokens()
			challenged := o.Count(origin.Challenges())
			pause.Heal()
			body, err := finish()
			if a := (answer{what: "GET the layer", status: http.StatusOK, body: body, err: err}); !a.holds(layer.Digest) {
				t.Errorf("got %v", a)
			}
			if got := o.Count(origin.Challenges()) - challenged; got != 1 {
				t.Errorf("the origin challenged %d requests, want 1: the token was to expire", got)
			}
			s.holdsOnlyWhole(t)
			o.Refuse()
			pullBlob(t, base, layer)
		})
	}
}

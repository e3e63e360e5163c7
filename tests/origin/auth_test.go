package origin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/tests/origin"
)

var (
	anyone = origin.User{Pulls: []string{"library/*"}}
	alice  = origin.User{Name: "alice", Password: "secret"}
)

// login gets a token for a repository and returns it with the token server's status.
func login(t *testing.T, o *origin.Origin, u origin.User, repository string) (string, int) {
	t.Helper()
	challenge := get(t, o.URL()+"/v2/"+repository+"/manifests/1").Header.Get("WWW-Authenticate")
	realm := regexp.MustCompile(`^Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"`).FindStringSubmatch(challenge)
	if realm == nil {
		t.Fatalf("challenge %q", challenge)
	}
	req := request(t, http.MethodGet, realm[1]+"?service="+realm[2]+"&scope="+url.QueryEscape(realm[3]))
	if u.Name != "" {
		req.SetBasicAuth(u.Name, u.Password)
	}
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Token, resp.StatusCode
}

func TestWithTokens_LetsInWhoMayPull(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		user       origin.User
		repository string
		token, get int
	}{
		"anonymous, public":        {origin.User{}, "library/a", 200, 200},
		"anonymous, private":       {origin.User{}, "team/a", 200, 401},
		"a user, private":          {alice, "team/a", 200, 200},
		"a user, wrong password":   {origin.User{Name: "alice", Password: "guess"}, "library/a", 401, 401},
		"someone nobody has heard": {origin.User{Name: "eve", Password: "secret"}, "library/a", 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, origin.WithTokens(anyone, alice))
			img := o.Push(t, tc.repository+":1", origin.RandomImage(1, 4096))
			token, status := login(t, o, tc.user, tc.repository)
			if status != tc.token {
				t.Errorf("token server: %d, want %d", status, tc.token)
			}
			if got := get(t, manifestURL(o, img), "Authorization", "Bearer "+token); got.StatusCode != tc.get {
				t.Errorf("registry: %s, want %d", got.Status, tc.get)
			}
		})
	}
}

func TestWithTokens_TokensHaveTheirScopeAndTime(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.WithTokens(anyone), origin.WithTokenLife(time.Hour))
	a := o.Push(t, "library/a:1", origin.RandomImage(1, 4096))
	b := o.Push(t, "library/b:1", origin.RandomImage(1, 4096))
	token, _ := login(t, o, origin.User{}, "library/a")
	status := func(img origin.Image) int {
		return get(t, manifestURL(o, img), "Authorization", "Bearer "+token).StatusCode
	}
	if status(a) != http.StatusOK || status(b) != http.StatusUnauthorized {
		t.Errorf("a token for a: %d for a, %d for b", status(a), status(b))
	}
	o.SetUsers()
	if status(a) != http.StatusOK {
		t.Errorf("a token ended with its user")
	}
	o.ExpireTokens()
	if status(a) != http.StatusUnauthorized {
		t.Errorf("an expired token: %d", status(a))
	}
	if n := o.Stats().Tokens; n != 1 {
		t.Errorf("%d tokens issued, want 1", n)
	}
}

func TestWithTokens_ChallengesAreNoManifestRequests(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.WithTokens(anyone))
	o.Fail(origin.Manifests().Nth(1), origin.Status(503))
	img := o.Push(t, "library/a:1", origin.RandomImage(1, 4096))
	token, _ := login(t, o, origin.User{}, "library/a")
	if got := get(t, manifestURL(o, img), "Authorization", "Bearer "+token); got.StatusCode != 503 {
		t.Errorf("the first request let in: %s, want the fault", got.Status)
	}
	if o.Count(origin.Manifests()) != 1 || o.Count(origin.Challenges()) != 1 || o.Count(origin.Tokens()) != 1 {
		t.Errorf("counted %v", o.Stats().Requests)
	}
}

func TestTokenServer_FailsOnItsOwn(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.WithTokens(anyone))
	o.Push(t, "library/a:1", origin.RandomImage(1, 4096))
	o.Fail(origin.Tokens(), origin.Status(503))
	if _, status := login(t, o, origin.User{}, "library/a"); status != 503 {
		t.Errorf("the token server answers %d", status)
	}
	o.Heal()
	o.RefuseTokens()
	if got := get(t, o.URL()+"/v2/"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the registry: %s", got.Status)
	}
	o.Heal()
	if _, status := login(t, o, origin.User{}, "library/a"); status != http.StatusOK {
		t.Errorf("healed, the token server answers %d", status)
	}
}

func TestAuth_WorksForARealClient(t *testing.T) {
	t.Parallel()
	for scheme, with := range map[string]origin.Option{
		"tokens": origin.WithTokens(anyone, alice), "basic": origin.WithBasic(anyone, alice),
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, with, origin.WithCDN())
			img := o.Push(t, "team/a:1", origin.RandomImage(1, 4096))
			ref, err := name.ParseReference(o.Host() + "/" + img.Name())
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			pull := func(auth authn.Authenticator) error {
				_, err := remote.Get(ref, remote.WithContext(t.Context()), remote.WithTransport(transport), remote.WithAuth(auth))
				return err
			}
			if err := pull(authn.FromConfig(authn.AuthConfig{Username: alice.Name, Password: alice.Password})); err != nil {
				t.Errorf("with a password: %v", err)
			}
			if err := pull(authn.Anonymous); err == nil {
				t.Error("anonymous may pull what is private")
			}
		})
	}
}

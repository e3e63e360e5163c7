package upstream

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/larder-dev/larder/internal/imageref"
)

func TestConfigFile_LongestPrefixFirst(t *testing.T) {
	t.Parallel()
	f, err := openConfigFile(writeFile(t, `{"auths":{
		"reg.test":              {"username":"host","password":"p"},
		"reg.test/team":         {"username":"team","password":"p"},
		"reg.test/team/app":     {"username":"app","password":"p"},
		"https://legacy.test/v1/": {"username":"legacy","password":"p"},
		"path.test/only":        {"username":"path","password":"p"},
		"empty.test":            {},
		"https://index.docker.io/v1/": {"auth":"aHViOnA="}}}`)) // hub:p
	must(t, err)
	for repo, want := range map[imageref.Repository]string{
		{Host: "reg.test", Path: "team/app"}:        "app",
		{Host: "reg.test", Path: "team/app/sub"}:    "app",
		{Host: "reg.test", Path: "team/apple"}:      "team",
		{Host: "reg.test", Path: "other"}:           "host",
		{Host: "legacy.test", Path: "x"}:            "legacy",
		{Host: "path.test", Path: "only/x"}:         "path",
		{Host: "path.test", Path: "other"}:          "",
		{Host: "empty.test", Path: "x"}:             "",
		{Host: "unknown.test", Path: "x"}:           "",
		{Host: "docker.io", Path: "library/nginx"}:  "hub",
		{Host: "reg.test:5000", Path: "team/app"}:   "",
		{Host: "team", Path: "reg.test"}:            "",
		{Host: "index.docker.io.test", Path: "a/b"}: "",
	} {
		got, err := f.lookup(repo)
		must(t, err)
		if got.Username != want {
			t.Errorf("%s: got %q, want %q", repo, got.Username, want)
		}
	}
}

// rewrite replaces a file as mounted secrets are: by rename, with another modification time.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	next := path + ".next"
	must(t, os.WriteFile(next, []byte(content), 0o600))
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(next, later, later))
	must(t, os.Rename(next, path))
}

func TestCredentials_AreReadAgainWhenTheFileChanges(t *testing.T) {
	t.Parallel()
	users := make(chan string, 10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, _, ok := r.BasicAuth()
		if !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		users <- user
		serveManifest(w, r)
	})
	entry := at("reg.test", s.URL)
	entry.CredentialsFile = writeFile(t, `{"auths":{"reg.test":{"username":"one","password":"p"}}}`)
	c := newClient(t, entry)
	pull := func() {
		_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
		must(t, err)
	}
	pull()
	rewrite(t, entry.CredentialsFile, `{"auths":{"reg.test":{"username":"two","password":"pp"}}}`)
	pull()
	rewrite(t, entry.CredentialsFile, `broken, and longer`)
	pull()
	close(users)
	var got []string
	for user := range users {
		got = append(got, user)
	}
	if diff := cmp.Diff([]string{"one", "two", "two"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCredentials_OfDockersOwnConfig(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", dir)
	must(t, os.WriteFile(filepath.Join(dir, "config.json"),
		[]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnA="},"reg.test":{"auth":"cmVnOnA="}}}`), 0o600))
	for repo, want := range map[imageref.Repository]string{
		{Host: "docker.io", Path: "library/nginx"}: "hub",
		{Host: "reg.test", Path: "x"}:              "reg",
		{Host: "other.test", Path: "x"}:            "",
	} {
		got, err := dockerConfig{}.lookup(repo)
		must(t, err)
		if got.Username != want {
			t.Errorf("%s: got %q, want %q", repo, got.Username, want)
		}
	}
	before := dockerConfig{}.stamp()
	rewrite(t, filepath.Join(dir, "config.json"), `{}`)
	if (dockerConfig{}).stamp() == before {
		t.Error("the stamp does not tell that the file changed")
	}
}

// ask returns the credential that a keychain finds.
func ask(t *testing.T, k *keychain, host string) *credential {
	t.Helper()
	if found := k.begin(app(host), credentialTTL)(t.Context()).credentials; len(found) > 0 {
		return found[0]
	}
	return &credential{id: anonymous, name: anonymous}
}

// stuck is a source that never answers, as a credential helper that hangs.
type stuck struct{ release chan struct{} }

func (s stuck) lookup(imageref.Repository) (authn.AuthConfig, error) {
	<-s.release
	return authn.AuthConfig{Username: "late", Password: "p"}, nil
}

func (stuck) stamp() string { return "" }

func TestCredentials_HelperThatHangsHoldsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := stuck{make(chan struct{})}
		k := newKeychain(inFile{s}, []byte("secret"), logr.Discard())
		started := time.Now()
		if got := ask(t, k, "reg.test"); got.name != anonymous || time.Since(started) != lookupTimeout {
			t.Errorf("got %s after %s", got.name, time.Since(started))
		}
		if ask(t, k, "reg.test"); time.Since(started) != lookupTimeout {
			t.Error("the second request waited too")
		}
		close(s.release)
		synctest.Wait()
		if got := ask(t, k, "reg.test"); got.config.Username != "late" {
			t.Errorf("got %+v once the helper answered", got)
		}
	})
}

// hanging is a source that answers once, and never again.
type hanging struct{ answered atomic.Bool }

func (h *hanging) Find(ctx context.Context, _ imageref.Repository) ([]authn.AuthConfig, error) {
	if h.answered.Swap(true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []authn.AuthConfig{{Username: "known", Password: "p"}}, nil
}

func (*hanging) Stamp(imageref.Repository) string { return "" }

func TestCredentials_OfASourceThatHangsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said atomic.Int32
		log := funcr.New(func(string, string) { said.Add(1) }, funcr.Options{})
		k := newKeychain(&hanging{}, []byte("secret"), log)
		ask(t, k, "reg.test")
		for range 100 {
			time.Sleep(credentialTTL / 10)
			started := time.Now()
			if got := ask(t, k, "reg.test"); got.config.Username != "known" || time.Since(started) != 0 {
				t.Fatalf("got %q after %s, want what is known at once", got.config.Username, time.Since(started))
			}
		}
		if n := said.Load(); n != 1 {
			t.Errorf("it said %d times that lookups fail, want once", n)
		}
		time.Sleep(2 * staleLimit)
		started := time.Now()
		if ask(t, k, "reg.test"); time.Since(started) != lookupTimeout {
			t.Errorf("what was found hours ago is taken after %s, want a lookup first", time.Since(started))
		}
	})
}

func TestCredentials_OfAHelper(t *testing.T) {
	bin := t.TempDir()
	calls := filepath.Join(bin, "calls")
	script := fmt.Sprintf("#!/bin/sh\nread host\necho x >> %s\n"+
		`echo "{\"ServerURL\":\"$host\",\"Username\":\"helped\",\"Secret\":\"p\"}"`+"\n", calls)
	must(t, os.WriteFile(filepath.Join(bin, "docker-credential-larder-test"), []byte(script), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	f, err := openConfigFile(writeFile(t, `{"credHelpers":{"reg.test":"larder-test"}}`))
	must(t, err)
	k := newKeychain(inFile{f}, []byte("secret"), logr.Discard())
	for range 3 {
		if got := ask(t, k, "reg.test"); got.config.Username != "helped" || got.name == anonymous {
			t.Errorf("got %+v", got)
		}
	}
	if got := ask(t, k, "other.test"); got.name != anonymous {
		t.Errorf("got %+v for a host without a helper", got)
	}
	content, err := os.ReadFile(calls)
	must(t, err)
	if string(content) != "x\n" {
		t.Errorf("the helper ran %d times, want once", len(content)/2)
	}
	k.begin(app("reg.test"), credentialTTL)(t.Context()).denied.Store(true)
	ask(t, k, "reg.test")
	if content, err = os.ReadFile(calls); err != nil || string(content) != "x\nx\n" {
		t.Errorf("the helper ran %d times, want again after its word was refused", len(content)/2)
	}
}

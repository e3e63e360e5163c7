package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/port"
)

var (
	hub      = imageref.Repository{Host: "docker.test", Path: "library/nginx"}
	hardened = imageref.Repository{Host: "corp.test", Path: "hardened/nginx"}
	spare    = imageref.Repository{Host: "spare.test", Path: "nginx"}
)

// from says that the images of hub come from others.
func from(sources ...imageref.Repository) func(imageref.Repository) []imageref.Repository {
	return func(repo imageref.Repository) []imageref.Repository {
		if repo == hub {
			return sources
		}
		return nil
	}
}

// only answers under a repository's path, and 404 elsewhere.
func only(repo imageref.Repository, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" && !strings.HasPrefix(r.URL.Path, "/v2/"+repo.Path+"/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		next(w, r)
	}
}

func TestSources_AnotherRepositoryIsAskedInItsPlace(t *testing.T) {
	t.Parallel()
	hubs := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "nginx") {
			t.Error("the repository in the name was asked")
		}
		serveManifest(w, r)
	})
	corp := serve(t, only(hardened, serveManifest))
	c := newClientWith(t, Options{Registries: []Registry{at(hub.Host, hubs.URL), at(hardened.Host, corp.URL)}, Sources: from(hardened)})
	_, err := c.Manifest(t.Context(), hub, "latest")
	must(t, err)
	if got := c.Place(hub); got != "corp.test" {
		t.Errorf("place %q, want the host that is asked", got)
	}
	_, err = c.Manifest(t.Context(), imageref.Repository{Host: hub.Host, Path: "library/redis"}, "latest")
	must(t, err) // another repository of that host is asked there
}

func TestSources_OneWithSourcesOfItsOwnIsNotFollowed(t *testing.T) {
	t.Parallel()
	corp := serve(t, only(hardened, serveManifest))
	circle := func(repo imageref.Repository) []imageref.Repository {
		return map[imageref.Repository][]imageref.Repository{hub: {hardened}, hardened: {hub}}[repo]
	}
	c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, corp.URL)}, Sources: circle})
	_, err := c.Manifest(t.Context(), hub, "latest")
	must(t, err)
}

func TestSources_AnyFailureMovesOn(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"Not found": answering(404), "Denied": answering(403), "Unauthorized": answering(401), "Rate limit": answering(429),
		"Server error": answering(500), "Broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := serve(t, first), serve(t, only(spare, serveManifest))
			c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, bad.URL), at(spare.Host, good.URL)}, Sources: from(hardened, spare)})
			_, err := c.Manifest(t.Context(), hub, "latest")
			must(t, err)
		})
	}
}

func TestSources_D2_OnlyNotFoundEverywhereIsNotFound(t *testing.T) {
	t.Parallel()
	closed := "http://" + port.New(t).String()
	notFound, denied, limited := serve(t, answering(404)), serve(t, answering(403)), serve(t, answering(429))
	for name, tt := range map[string]struct {
		first, second string
		reason        Reason
		host          string
	}{
		"Two that do not have it":             {notFound.URL, notFound.URL, NotFound, hardened.Host},
		"One that is down, one without it":    {closed, notFound.URL, Unreachable, hardened.Host},
		"One without it, one that is down":    {notFound.URL, closed, Unreachable, spare.Host},
		"One without it, one that says no":    {notFound.URL, denied.URL, Denied, spare.Host},
		"Two that fail: the first one's word": {limited.URL, denied.URL, RateLimited, hardened.Host},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, tt.first), at(spare.Host, tt.second)}, Sources: from(hardened, spare)})
			for range 2 { // the second time with the one that failed asked last
				_, err := c.Tags(t.Context(), hub)
				if e := wantError(t, err, tt.reason); e.Host != tt.host {
					t.Errorf("the error names %s, want %s: %v", e.Host, tt.host, err)
				} else if other := map[string]string{hardened.Host: spare.Host, spare.Host: hardened.Host}[tt.host]; !strings.Contains(e.Error(), other) {
					t.Errorf("the error does not name %s: %v", other, err)
				}
				referrers, err := c.Referrers(t.Context(), hub, digest.FromString("x"))
				if tt.reason == NotFound {
					if must(t, err); len(referrers) != 0 {
						t.Errorf("got %v, want no referrer", referrers)
					}
				} else {
					_ = wantError(t, err, tt.reason)
				}
			}
		})
	}
}

func TestSources_OneThatFailedIsAskedLastForAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "200")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	good := serve(t, serveManifest)
	c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, bad.URL), at(spare.Host, good.URL)}, Sources: from(hardened, spare)})
	_, err := c.Manifest(t.Context(), hub, "latest")
	must(t, err)
	before := asked.Load()
	for range 3 {
		_, err = c.Manifest(t.Context(), hub, "latest")
		must(t, err)
	}
	if got := asked.Load(); got != before {
		t.Errorf("an origin that wants to be left alone was asked %d times more", got-before)
	}
	sources, now := []imageref.Repository{hardened, spare}, time.Now()
	if got := c.inOrder(sources, now.Add(190*time.Second)); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("order %v before its time, want it last", got)
	}
	if got := c.inOrder(sources, now.Add(210*time.Second)); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("order %v when its time is over, want it first again", got)
	}
	if got := c.inOrder(sources, now.Add(210*time.Second)); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("order %v for a second caller, want it last: one is enough to try", got)
	}
}

func TestSources_HangingOneIsGivenUpWhereOthersWait(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	var asked atomic.Int64
	bad := serve(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-hanging
	})
	t.Cleanup(func() { close(hanging) })
	good := serve(t, serveManifest)
	c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, bad.URL), at(spare.Host, good.URL)}, Sources: from(hardened, spare)})
	started := time.Now()
	_, err := c.Manifest(t.Context(), hub, "latest")
	must(t, err)
	if took := time.Since(started); took < patienceForOne || took >= headerTimeout { // which is how long it is waited for where none waits
		t.Errorf("took %s, want about %s", took, patienceForOne)
	}
	before := asked.Load()
	_, err = c.Manifest(t.Context(), hub, "latest")
	must(t, err)
	if n := asked.Load(); before == 0 || n != before {
		t.Errorf("the one that hangs was asked %d times, and %d times afterwards; want it asked last", before, n-before)
	}
}

func TestSources_A3_CredentialsAreThoseOfWhoIsAsked(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string][]string{}
	record := func(host string, status int) *httptest.Server {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if user, _, ok := r.BasicAuth(); ok {
				seen[host] = append(seen[host], user)
				w.WriteHeader(status)
				return
			}
			w.Header().Set("Www-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	}
	first, second := record(hardened.Host, 404), record(spare.Host, 404)
	c := newClientWith(t, Options{
		Registries: []Registry{at(hardened.Host, first.URL), at(spare.Host, second.URL)}, Sources: from(hardened, spare),
		Credentials: byHost{},
	})
	_, err := c.Manifest(t.Context(), hub, "latest")
	_ = wantError(t, err, NotFound)
	mu.Lock()
	defer mu.Unlock()
	for host, users := range seen {
		for _, user := range users {
			if user != "user of "+host {
				t.Errorf("%s was shown %q", host, user)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("credentials went to %v, want to both", seen)
	}
}

// byHost has a credential for every host.
type byHost struct{}

func (byHost) Find(_ context.Context, repo imageref.Repository) ([]authn.AuthConfig, error) {
	return []authn.AuthConfig{{Username: "user of " + repo.Host, Password: "secret"}}, nil
}

func (byHost) Stamp(repo imageref.Repository) string { return repo.String() }

func TestSources_RefusedAddressesStayRefused(t *testing.T) {
	t.Parallel()
	self := serve(t, serveManifest)
	address := hostOf(t, self.URL)
	for name, source := range map[string]string{"Larder itself": address, "Link-local": "169.254.169.254", "Loopback": "localhost:1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientWith(t, Options{Sources: from(imageref.Repository{Host: source, Path: "nginx"}), Self: func() []string { return []string{address} }})
			_, err := c.Manifest(t.Context(), hub, "latest")
			_ = wantError(t, err, Refused)
		})
	}
}

func TestSources_B3_TheRestComesFromTheNextOne(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 1000)
	half := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, content[:5000])
			panic(http.ErrAbortHandler)
		}
	})
	whole := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	c := newClientWith(t, Options{Registries: []Registry{at(hardened.Host, half.URL), at(spare.Host, whole.URL)}, Sources: from(hardened, spare)})
	first, err := c.Blob(t.Context(), hub, digest.FromString(content), 0, -1)
	must(t, err)
	_, err = io.ReadAll(first.Body)
	if err == nil || first.Host != hardened.Host {
		t.Fatalf("%s sent all, want half of %s", first.Host, hardened.Host)
	}
	must(t, first.Body.Close())
	first.Doubt()
	rest, err := c.Blob(t.Context(), hub, digest.FromString(content), 5000, -1)
	must(t, err)
	defer rest.Body.Close()
	got, err := io.ReadAll(rest.Body)
	must(t, err)
	if rest.Host != spare.Host || rest.Offset != 5000 || string(got) != content[5000:] {
		t.Errorf("%d bytes of %s from %d on, want the rest from %s", len(got), rest.Host, rest.Offset, spare.Host)
	}
}

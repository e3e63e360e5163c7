package upstream

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	testorigin "github.com/larder-dev/larder/tests/origin"
)

func TestCandidates_MirrorThatDeniesEverybody(t *testing.T) {
	t.Parallel()
	c, p, calls := hiding(t, map[string]int{"a": 403, "b": 200})
	mirror := serve(t, answering(http.StatusForbidden))
	base := c.listed["hub.test"].endpoints[0].base
	both := newClientWith(t, Options{Registries: []Registry{at("hub.test", mirror.URL, base.String())}, Credentials: p})
	p.fill("", "a", "b")
	for _, want := range [][]string{{"a", "b"}, {"b"}} {
		must(t, pull(t, both))
		if diff := cmp.Diff(want, calls()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCandidates_MirrorsAreShownTheOperatorsAlone(t *testing.T) {
	t.Parallel()
	mirror := testorigin.New(t, testorigin.WithBasic(testorigin.User{Name: "nobody", Password: "p"}))
	o := testorigin.New(t, testorigin.WithTokens(testorigin.User{Name: "pod", Password: "p"}))
	o.Push(t, "team/app:latest", testorigin.RandomImage(1, 4<<10))
	lines := &[]string{}
	log := funcr.New(func(_, line string) { *lines = append(*lines, line) }, funcr.Options{})
	entry := at("hub.test", mirror.URL(), o.URL())
	entry.CredentialsFile = writeFile(t, `{"auths":{"hub.test":{"username":"file","password":"p"}}}`)
	p := &purse{}
	p.fill("", "pod:p")
	c := newClientWith(t, Options{Registries: []Registry{entry}, Credentials: p, Log: log})
	for range 3 {
		must(t, pull(t, c))
	}
	for _, r := range mirror.Requests(testorigin.Everything()) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the mirror was shown %s", r.Header.Get("Authorization"))
		}
	}
	if len(*lines) > 0 {
		t.Errorf("a mirror that was asked anonymously is told of as a refusal: %q", *lines)
	}
	p.fill("other", "pod:wrong")
	_ = wantError(t, pull(t, c), Denied)
	var users []string
	for _, r := range mirror.Requests(testorigin.Everything().By(http.MethodHead)) {
		user, _, _ := (&http.Request{Header: r.Header}).BasicAuth()
		users = append(users, user)
	}
	if last := users[len(users)-1]; last != "file" || slices.Contains(users, "pod") {
		t.Errorf("the mirror was asked by %q, want the file's user at last", users)
	}
}

func TestCandidates_AMirrorsYesProvesNothingOfTheOrigin(t *testing.T) {
	t.Parallel()
	c, p, calls := hiding(t, map[string]int{"a": 404, "b": 200})
	up := atomic.Bool{}
	up.Store(true)
	mirror := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if up.Load() {
			serveManifest(w, r)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	base := c.listed["hub.test"].endpoints[0].base
	both := newClientWith(t, Options{Registries: []Registry{at("hub.test", mirror.URL, base.String())}, Credentials: p})
	p.fill("", "a", "b")
	must(t, pull(t, both))
	if got := calls(); len(got) != 0 {
		t.Errorf("the origin was asked by %q although the mirror had it", got)
	}
	up.Store(false)
	must(t, pull(t, both))
	if diff := cmp.Diff([]string{"a", "b"}, calls()); diff != "" {
		t.Error(diff)
	}
}

func TestCandidates_EndpointThatFailedIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	c, p, calls := hiding(t, map[string]int{"a": 403, "b": 200})
	asked := 0
	mirror := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusInternalServerError)
	})
	base := c.listed["hub.test"].endpoints[0].base
	both := newClientWith(t, Options{Registries: []Registry{at("hub.test", mirror.URL, base.String())}, Credentials: p})
	p.fill("", "a", "b")
	must(t, pull(t, both))
	if diff := cmp.Diff([]string{"a", "b"}, calls()); diff != "" || asked != 1 { // the ping
		t.Errorf("the mirror was asked %d times, want once; the origin:\n%s", asked, diff)
	}
}

package relay

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const corpHost = "registry.corp"

// book is what a registry tells of names; it can be changed.
type book struct {
	text   atomic.Pointer[[]byte]
	status atomic.Int64
	whole  atomic.Int64 // how often it was sent
}

func (b *book) write(t *testing.T, repositories ...names.Repository) {
	t.Helper()
	text, err := names.Document{Repositories: repositories}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b.text.Store(&text)
}

func (b *book) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.URL.Path != names.Path {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set(apiVersion, "registry/2.0")
	text := *b.text.Load()
	w.Header().Set("Etag", names.ETag(text))
	switch status := int(b.status.Load()); {
	case status != 0:
		w.WriteHeader(status)
	case r.Header.Get("If-None-Match") == names.ETag(text):
		w.WriteHeader(http.StatusNotModified)
	default:
		b.whole.Add(1)
		_, _ = w.Write(text)
	}
}

// lone is a proxy that has learned from a registry that is gone by now, and another origin.
type lone struct {
	*world
	corp *origin.Origin
	book *book
}

func newLone(t *testing.T, dir string) *lone {
	t.Helper()
	l := &lone{corp: origin.New(t), book: &book{}}
	l.book.write(t)
	l.world = newWorld(t, 1, func(o *Options) {
		o.Names = OpenNames(dir, logr.Discard())
		o.Origin = clientOf(t, o.Names, nil)
	})
	l.relay.o.Origin = clientOf(t, l.relay.o.Names, map[string]string{host: l.origin.URL(), corpHost: l.corp.URL()})
	l.replicas[0].behave(l.book.serve)
	return l
}

func clientOf(t *testing.T, known *Names, endpoints map[string]string) *upstream.Client {
	t.Helper()
	o := upstream.Options{Sources: known.Sources, Log: logr.Discard()}
	for host, endpoint := range endpoints {
		o.Registries = append(o.Registries, upstream.Registry{Host: host, Endpoints: []string{endpoint}})
	}
	c, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// learn has the proxy learn what the registry tells now.
func (l *lone) learn(t *testing.T, repositories ...names.Repository) {
	t.Helper()
	l.book.write(t, repositories...)
	if err := l.relay.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// outage takes the registry away.
func (l *lone) outage() {
	l.replicas[0].behave(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
}

func (l *lone) wantHeld(t *testing.T, path, why string) {
	t.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		got := l.get(t, method, path)
		if got.StatusCode != http.StatusServiceUnavailable || method == "GET" && !strings.Contains(string(got.body), why) {
			t.Errorf("%s %s: %d %s, want 503 that says %q", method, path, got.StatusCode, got.body, why)
		}
	}
}

func (l *lone) wantManifest(t *testing.T, path string, want digest.Digest) {
	t.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		got := l.get(t, method, path)
		if got.StatusCode != http.StatusOK || got.Header.Get(contentDigest) != string(want) || method == "GET" && digest.FromBytes(got.body) != want {
			t.Errorf("%s %s: %d %v %s, want %s", method, path, got.StatusCode, got.Header, got.body, want)
		}
	}
}

const app = "/v2/" + host + "/team/app/"

func TestNames_APinnedTagIsItsDigest(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	pinned := l.origin.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	l.learn(t, names.Repository{Name: host + "/team/app", Pins: map[string]digest.Digest{"1": pinned.Digest}})
	moved := l.origin.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	l.origin.Push(t, "team/app:2", origin.RandomImage(1, 1<<12))
	l.outage()
	l.wantManifest(t, app+"manifests/1", pinned.Digest)
	l.wantManifest(t, app+"manifests/"+string(moved.Digest), moved.Digest)
	if got := l.get(t, "GET", app+"manifests/2"); got.StatusCode != http.StatusOK {
		t.Errorf("a tag that nobody pinned: %d %s", got.StatusCode, got.body)
	}
}

func TestNames_AnImmutableTagIsNotAskedFor(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	img := l.origin.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	l.origin.Push(t, "team/app:latest", origin.RandomImage(1, 1<<12))
	l.learn(t, names.Repository{Name: host + "/team/app", ImmutableTags: []string{`:v\d`}})
	l.outage()
	asked := l.origin.Count(origin.Everything())
	l.wantHeld(t, app+"manifests/v1", "immutable")
	if n := l.origin.Count(origin.Everything()); n != asked {
		t.Error("the origin was asked all the same")
	}
	if n := testutil.ToFloat64(l.metrics.Fallbacks.WithLabelValues("manifest")); n != 0 {
		t.Errorf("%v fallbacks are counted, want none", n)
	}
	l.wantManifest(t, app+"manifests/"+string(img.Digest), img.Digest)
	if got := l.get(t, "GET", app+"manifests/latest"); got.StatusCode != http.StatusOK {
		t.Errorf("a tag that is not immutable: %d %s", got.StatusCode, got.body)
	}
}

func TestNames_AnotherOriginIsAskedByDigestAlone(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	l.origin.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	img := l.corp.Push(t, "hardened/app:1", origin.RandomImage(1, layerSize))
	l.learn(t, names.Repository{Name: host + "/team/app", Origins: []string{corpHost + "/hardened/app"}})
	l.outage()
	l.wantHeld(t, app+"manifests/1", corpHost)
	l.wantManifest(t, app+"manifests/"+string(img.Digest), img.Digest)
	layer := l.get(t, "GET", app+"blobs/"+string(img.Blobs[1].Digest))
	if layer.StatusCode != http.StatusOK || digest.FromBytes(layer.body) != img.Blobs[1].Digest {
		t.Errorf("a layer: %d with %d bytes", layer.StatusCode, len(layer.body))
	}
	if n := l.origin.Count(origin.Everything().In("team/app").By("GET")); n != 0 {
		t.Errorf("the origin in the name was asked %d times", n)
	}
}

func TestNames_ABlobThatBreaksOffGoesOnAtTheRightOrigin(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	img := l.corp.Push(t, "hardened/app:1", origin.RandomImage(1, layerSize))
	l.learn(t, names.Repository{Name: host + "/team/app", Origins: []string{"spare.invalid/app", corpHost + "/hardened/app"}})
	l.outage()
	l.corp.Fail(origin.Blobs().First(1), origin.ResetAfter(1<<20))
	layer := l.get(t, "GET", app+"blobs/"+string(img.Blobs[1].Digest))
	if layer.err != nil || digest.FromBytes(layer.body) != img.Blobs[1].Digest {
		t.Errorf("%d bytes, %v; want the whole layer", len(layer.body), layer.err)
	}
}

func TestNames_WhatWasLearnedHoldsOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := newLone(t, dir)
	l.origin.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	immutable := names.Repository{Name: host + "/team/app", ImmutableTags: []string{`:v1$`}}
	l.learn(t, immutable)
	l.learn(t, immutable)
	if n := l.book.whole.Load(); n != 1 {
		t.Errorf("what did not change was sent %d times", n)
	}
	for _, status := range []int{http.StatusNotFound, http.StatusInternalServerError} {
		l.book.status.Store(int64(status))
		if err := l.relay.learn(t.Context()); err == nil {
			t.Errorf("%d taught something", status)
		}
	}
	l.outage()
	l.wantHeld(t, app+"manifests/v1", "immutable")

	again := newLone(t, dir) // a container that starts in the outage
	again.origin.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	again.outage()
	again.wantHeld(t, app+"manifests/v1", "immutable")
}

func TestNames_NothingLearnedForbidsNothing(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]string{"No file": "", "A torn file": `{"repositories":[{"na`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if kept != "" {
				if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(kept), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := newLone(t, dir)
			img := l.origin.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
			l.outage()
			l.wantManifest(t, app+"manifests/v1", img.Digest)
		})
	}
}

func TestNames_OfTooManySomeAreHeld(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	img := l.origin.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	other := l.origin.Push(t, "team/other:v1", origin.RandomImage(1, 1<<12))
	doc, err := names.Document{Repositories: []names.Repository{
		{Name: host + "/team/app", ImmutableTags: []string{strings.Repeat("x", names.MaxSize)}}, {Name: "a", Origins: []string{"b"}},
	}}.Fit()
	if err != nil {
		t.Fatal(err)
	}
	text, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	l.book.text.Store(&text)
	if err := l.relay.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.outage()
	for _, path := range []string{"manifests/v1", "tags/list", "referrers/" + string(img.Digest)} {
		l.wantHeld(t, app+path, "more to tell than a proxy takes")
	}
	l.wantManifest(t, app+"manifests/"+string(img.Digest), img.Digest)
	l.wantManifest(t, "/v2/"+host+"/team/other/manifests/v1", other.Digest)
}

func TestNames_BeforeAnythingIsToldTagsCanBeHeld(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	l.relay.o.HoldUntold = true
	img := l.origin.Push(t, "team/app:v1", origin.RandomImage(1, layerSize))
	front := l.book.serve
	l.outage()
	for _, path := range []string{"manifests/v1", "tags/list", "referrers/" + string(img.Digest)} {
		l.wantHeld(t, app+path, "none has told this proxy yet")
	}
	l.wantManifest(t, app+"manifests/"+string(img.Digest), img.Digest)
	if got := l.get(t, "GET", app+"blobs/"+string(img.Blobs[1].Digest)); got.StatusCode != http.StatusOK {
		t.Errorf("a layer: %d", got.StatusCode)
	}
	if at := testutil.ToFloat64(l.metrics.NamesTold); at != 0 {
		t.Errorf("the names were told at %v, want never", at)
	}
	l.replicas[0].behave(front)
	l.learn(t)
	if at := testutil.ToFloat64(l.metrics.NamesTold); at == 0 {
		t.Error("nobody sees that the names were told")
	}
	l.outage()
	l.wantManifest(t, app+"manifests/v1", img.Digest)
}

func TestNames_TooManyAreRefused(t *testing.T) {
	t.Parallel()
	l := newLone(t, "")
	l.learn(t, names.Repository{Name: "a", Origins: []string{"b"}})
	l.book.write(t, names.Repository{Name: "a", ImmutableTags: []string{strings.Repeat("x", names.MaxSize)}})
	if err := l.relay.learn(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v, want that they are too many", err)
	}
	if n := l.relay.o.Names.known().Len(); n != 1 {
		t.Errorf("%d repositories are known, want what was known before", n)
	}
}

func TestNames_ProxiesDoNotComeAllAtOnce(t *testing.T) {
	t.Parallel()
	for range 100 {
		if wait := jittered(learnEvery); wait < learnEvery*8/10 || wait > learnEvery*12/10 {
			t.Fatalf("wait %s", wait)
		}
	}
}

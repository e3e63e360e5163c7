package serve

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// does runs a command, and fails the test where it does not end well or does not say all of what is wanted.
func (l larder) does(t *testing.T, args []string, wants ...string) {
	t.Helper()
	out, err := l.Run(t, args...)
	if err != nil {
		t.Fatalf("larder %v: %v\n%s", args, err, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("larder %v says\n%s\nwant %q in it", args, out, want)
		}
	}
}

// fails runs a command that is to fail, by its exit code and with a word of why.
func (l larder) fails(t *testing.T, args []string, want string) {
	t.Helper()
	if out, err := l.Run(t, args...); err == nil || !strings.Contains(out, want) {
		t.Errorf("larder %v: got %v and\n%s\nwant an error that says %q", args, err, out, want)
	}
}

// revisions pushes two images as app:1, one after the other, and has both pulled.
func (l larder) revisions(t *testing.T, o *origin.Origin) (first, second digest.Digest) {
	t.Helper()
	one := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l.pull(t, one)
	l.Settle(t)
	two := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l.pull(t, two)
	l.Settle(t)
	return one.Digest, two.Digest
}

func TestRevisions_P4_RollBackAndForthBesideServeAndAlone(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o, "updateInterval: 0s")
	first, second := l.revisions(t, o)
	const app = host + "/app:1"
	serves := func(want digest.Digest, status string) {
		t.Helper()
		resp, _ := l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/1")
		if got := resp.Header; got.Get("Docker-Content-Digest") != want.String() || !strings.Contains(got.Get("Cache-Status"), status) {
			t.Errorf("got %s, %q; want %s, %q", got.Get("Docker-Content-Digest"), got.Get("Cache-Status"), want, status)
		}
	}
	l.does(t, []string{"history", app}, first.String(), second.String(), "first pulled", "its origin moved the tag", "its origin had the same")
	l.does(t, []string{"rollback", app}, "was "+second.String(), "is now "+first.String(), "pinned", "its origin had "+second.String())
	serves(first, "detail=pinned")
	l.Restart(t)
	serves(first, "detail=pinned")
	l.does(t, []string{"pin", app, second.Encoded()[:8]}, "was "+first.String(), "is now "+second.String())
	l.does(t, []string{"unpin", app}, "is now "+second.String())
	serves(second, "")
	l.fails(t, []string{"unpin", app}, "not pinned")

	o.Refuse()
	l.Kill()
	l.does(t, []string{"rollback", app, "--to", first.String()}, "is now "+first.String(), "alone")
	l.Start(t)
	serves(first, "hit")
	l.does(t, []string{"unpin", app}, "is now "+second.String())
	serves(second, "hit")
}

func TestRevisions_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o, "updateInterval: 0s")
	first, _ := l.revisions(t, o)
	const app = host + "/app:1"
	nothing := digest.FromString("nothing").String()
	l.fails(t, []string{"pin", app, nothing}, nothing)
	l.fails(t, []string{"pin", app, "abc"}, "4 or more")
	l.fails(t, []string{"pin", app, "sha256:0000000"}, "no revision")
	l.fails(t, []string{"history", host + "/other:1"}, "not cached")
	l.fails(t, []string{"rollback", app + "@" + first.String()}, "by its tag")
	l.fails(t, []string{"history", app, "--context", "x", "--data", "larder-data"}, "--data")
	if out, err := l.Run(t, "history", app); err != nil || strings.Contains(out, "pinned") {
		t.Errorf("got %v and\n%s\nwant that nothing was pinned", err, out)
	}
	alone := o.Push(t, "alone:1", origin.RandomImage(1, 1<<12))
	l.pull(t, alone)
	l.fails(t, []string{"rollback", host + "/alone:1"}, "--to")
}

func TestRevisions_AManifestPinsUntilItDoesNot(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o, "updateInterval: 0s")
	first, second := l.revisions(t, o)
	manifest := func(pin string) string {
		return strings.Join([]string{
			"apiVersion: larder.dev/v1alpha1", "kind: CachedImage", "metadata: {name: app}",
			"spec: {sourceImage: '" + host + "/app:1'" + pin + "}",
		}, "\n")
	}
	serves := func(want digest.Digest) {
		t.Helper()
		process.Eventually(t, "the tag to be "+want.String(), func() bool { return l.digestOf(t, "app", "1") == want.String() })
	}
	l.Write(t, "repositories/app.yaml", manifest(", pinnedDigest: '"+first.String()+"'"))
	serves(first)
	l.fails(t, []string{"unpin", host + "/app:1"}, "spec.pinnedDigest")
	l.fails(t, []string{"pin", host + "/app:1", second.String()}, "spec.pinnedDigest")
	l.Write(t, "repositories/app.yaml", manifest(""))
	serves(second)
	l.Write(t, "repositories/app.yaml", manifest(", pinnedDigest: '"+digest.FromString("nothing").String()+"'"))
	process.Eventually(t, "the log to say that it cannot be pinned", func() bool { return strings.Contains(l.Said(), "pinning failed") })
	serves(second)
	l.Write(t, "repositories/app.yaml", manifest(", pinnedDigest: '"+first.String()+"'"))
	serves(first)
	l.Kill()
	l.Write(t, "repositories/app.yaml", "")
	l.Start(t)
	serves(second)
}

func TestRevisions_AnImmutableTagStaysAndIsCounted(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	l.Write(t, "repositories/app.yaml", repositoryYAML("app", "0s, immutableTags: [':1$'], historyLimit: 2"))
	img := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	process.Eventually(t, "the policy to be in force", func() bool { return strings.Contains(l.Said(), "manifests changed") })
	l.pull(t, img)
	moved := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	for range 2 {
		resp, _ := l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/1")
		if got := resp.Header.Get("Docker-Content-Digest"); got != img.Digest.String() || !strings.Contains(resp.Header.Get("Cache-Status"), "detail=immutable") {
			t.Errorf("got %s, %s; want that the tag did not move", got, resp.Header.Get("Cache-Status"))
		}
	}
	l.does(t, []string{"history", host + "/app:1"}, "immutable", "its origin had "+moved.Digest.String())
	_, metrics := l.GetHealth(t, "/metrics")
	if !strings.Contains(string(metrics), "\nlarder_immutable_tag_moves_total 1\n") {
		t.Error("the metrics do not say that one immutable tag was moved, once")
	}
}

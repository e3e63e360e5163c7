package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/opencontainers/go-digest"
)

// newRegistryOf starts a larder serve with an image's policies before an origin, and more registries.
func newRegistryOf(t *testing.T, o *origin.Origin, manifests string, config ...string) *process.Larder {
	t.Helper()
	larder := process.New(t, o, config...)
	larder.Write(t, "repositories/all.yaml", manifests)
	larder.Restart(t)
	return larder
}

// before starts a larder-proxy before it, with the same registries for the case that it is gone.
func before(t *testing.T, larder *process.Larder, state string, flags ...string) *node {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(larder.Dir, "larder.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config, _, _ := strings.Cut(string(text), "checkTimeout:") // which is not for a proxy
	file := filepath.Join(t.TempDir(), "larder-proxy.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "127.0.0.1:0", "127.0.0.1:0", append(flags, "--registry", larder.Addr, "--config", file, "--state", state)...)
}

// pull asks a proxy for a manifest, and tells how long that took.
func (p *node) pull(t *testing.T, reference string) (status int, dgst digest.Digest, body string, took time.Duration) {
	t.Helper()
	began := time.Now()
	status, text, err := get(t.Context(), "http://"+p.address+"/v2/"+process.Host+"/team/app/manifests/"+reference)
	if err != nil {
		t.Fatal(err)
	}
	return status, digest.FromBytes(text), string(text), time.Since(began)
}

func (p *node) want(t *testing.T, reference string, want origin.Image) (took time.Duration) {
	t.Helper()
	status, dgst, body, took := p.pull(t, reference)
	if status != http.StatusOK || dgst != want.Digest {
		t.Errorf("%s: %d %s, want %s", reference, status, body, want.Digest)
	}
	return took
}

// checkTimeout is longer than a busy machine takes for a check that is answered.
const checkTimeout = 10 * time.Second

// An `imagePullPolicy: Always` pod resolves its tag at every start. It gets the newest revision if the origin answers, what is stored if it
// does not, and the origin's own if the registry is gone.
func TestAlways_TheNewestOrWhatWeHave(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	first := o.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	larder := newRegistryOf(t, o, `
apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: app}
spec: {name: reg.example/team/app, updateInterval: 0s}
`, "checkTimeout: "+checkTimeout.String())
	p := before(t, larder, t.TempDir())
	p.want(t, "1", first)
	var newest origin.Image
	for range 3 {
		newest = o.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
		p.want(t, "1", newest)
	}

	hanging := o.Fail(origin.Everything(), origin.Hang())
	if took := p.want(t, "1", newest); took < checkTimeout-time.Second {
		t.Errorf("the first pull while the origin hangs took %s, want the check timeout of %s", took, checkTimeout)
	}
	for range 5 {
		if took := p.want(t, "1", newest); took > checkTimeout/2 {
			t.Errorf("a later pull while the origin hangs took %s, want milliseconds", took)
		}
	}
	hanging.Heal()
	moved := o.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	process.Eventually(t, "the tag to be followed again", func() bool {
		_, dgst, _, _ := p.pull(t, "1")
		return dgst == moved.Digest
	})

	o.Refuse()
	for range 3 {
		p.want(t, "1", moved)
	}
	o.Heal()
	last := o.Push(t, "team/app:1", origin.RandomImage(1, 1<<12))
	larder.Kill()
	p.want(t, "1", last)
}

// What the registry told of a name holds while it is gone, and for a proxy that starts meanwhile.
func TestNames_HoldWithoutTheRegistry(t *testing.T) {
	t.Parallel()
	o, corp := origin.New(t), origin.New(t)
	pinned := o.Push(t, "team/app:pinned", origin.RandomImage(1, 1<<12))
	fixed := o.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	hardened := corp.Push(t, "hardened/other:1", origin.RandomImage(1, 1<<12))
	larder := newRegistryOf(t, o, `
apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: app}
spec: {name: reg.example/team/app, updateInterval: 0s, immutableTags: [':v\d']}
---
apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: other}
spec: {name: reg.example/team/other, origin: registry.corp/hardened/other}
---
apiVersion: larder.dev/v1alpha1
kind: CachedImage
metadata: {name: pinned}
spec: {sourceImage: 'reg.example/team/app:pinned', pinnedDigest: '`+string(pinned.Digest)+`'}
`, "- host: registry.corp", "  endpoints: ["+corp.URL()+"]", "checkTimeout: 20s")
	state := t.TempDir()
	p := before(t, larder, state)
	p.want(t, "v1", fixed)
	if status, text, err := get(t.Context(), "http://"+p.address+"/v2/"+process.Host+"/team/other/manifests/1"); err != nil || digest.FromBytes(text) != hardened.Digest {
		t.Errorf("from another origin: %d %s, %v", status, text, err)
	}
	process.Eventually(t, "the proxy to learn the names", func() bool {
		kept, err := os.ReadFile(filepath.Join(state, "names.json"))
		return err == nil && strings.Contains(string(kept), "registry.corp")
	})

	o.Push(t, "team/app:pinned", origin.RandomImage(1, 1<<12))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 1<<12))
	free := o.Push(t, "team/app:latest", origin.RandomImage(1, 1<<12))
	larder.Kill()
	for range 2 {
		p.want(t, "pinned", pinned)
		p.want(t, "latest", free)
		p.want(t, string(fixed.Digest), fixed)
		if status, _, body, _ := p.pull(t, "v1"); status != http.StatusServiceUnavailable || !strings.Contains(body, "immutable") {
			t.Errorf("an immutable tag: %d %s, want 503 that says why", status, body)
		}
		other := "http://" + p.address + "/v2/" + process.Host + "/team/other/manifests/"
		if status, text, err := get(t.Context(), other+"1"); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(text), "registry.corp") {
			t.Errorf("a tag of another origin: %d %s, %v", status, text, err)
		}
		if status, text, err := get(t.Context(), other+string(hardened.Digest)); err != nil || digest.FromBytes(text) != hardened.Digest {
			t.Errorf("a digest of another origin: %d %s, %v", status, text, err)
		}
		p.stop(t)
		p.awaitEnd(t)
		p = before(t, larder, state)
	}
}

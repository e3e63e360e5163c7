package cache

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/larder-dev/larder/tests/origin"
)

// TestAdopt_AFilteredIndexIsRefreshed writes the store by distribution's own registry, as kube-image-keeper does: an index of which one
// platform was left, and which so has a digest of its own.
func TestAdopt_AFilteredIndexIsRefreshed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	whole := f.origin.Push(t, "app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	f.stop()
	filtered := f.writeFiltered(t, "app:1")
	f.start(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})

	f.origin.Refuse()
	if desc, outcome := f.resolve(t, "app", "1"); string(desc.Digest) != filtered || outcome.Kind != Stale {
		t.Errorf("got %s and %+v, want %s, stale", desc.Digest, outcome, filtered)
	}
	f.origin.Heal()
	eventually(t, "the whole index to be served", func() bool {
		f.clock.advance(time.Minute) // the breaker's time
		desc, _ := f.resolve(t, "app", "1")
		return desc.Digest == whole.Digest
	})
	f.pull(t, "app", "1")
}

// writeFiltered copies the first platform of an image at the origin into the store, by a registry of its own, and returns the digest.
func (f *fixture) writeFiltered(t *testing.T, image string) string {
	t.Helper()
	config := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  {"rootdirectory": f.data},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	if f.storage.Driver == "s3" {
		delete(config.Storage, "filesystem")
		config.Storage["s3"] = f.storage.Parameters
	}
	config.HTTP.Secret = "test"
	server := httptest.NewServer(handlers.NewApp(context.Background(), config))
	defer server.Close()
	from, err := name.ParseReference(strings.TrimPrefix(f.origin.URL(), "http://")+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	amd64, err := remote.Image(from, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: amd64, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}},
	})
	to, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/"+host+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(to, index); err != nil {
		t.Fatal(err)
	}
	dgst, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return dgst.String()
}

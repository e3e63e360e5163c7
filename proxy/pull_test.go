package proxy

import (
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/prometheus/client_golang/prometheus"
)

// A client of the field pulls a whole image through a real cache, cold, and again when the origin is gone.
func TestHandler_ServesAWholeImage(t *testing.T) {
	t.Parallel()
	from := origin.New(t)
	from.Push(t, "app:1", origin.RandomIndex(2, 1<<16, "linux/amd64", "linux/arm64"))
	addr := serveCache(t, from)
	ref, err := name.ParseReference(addr+"/reg.example/app:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pull := func() {
		t.Helper()
		if n := pullIndex(t, ref); n != 4 {
			t.Errorf("pulled %d layers, want 4", n)
		}
		tags, err := remote.List(ref.Context(), remote.WithContext(t.Context()), remote.WithPageSize(1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1"}, tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	}
	pull()
	from.Refuse()
	pull()
	got := exchange(t, addr, "HEAD", "/v2/app/manifests/1?ns=reg.example")
	if got.StatusCode != 200 || got.Header.Get("Cache-Status") != "larder; hit" {
		t.Errorf("HEAD as a mirror: %d %q, want 200 %q", got.StatusCode, got.Header.Get("Cache-Status"), "larder; hit")
	}
	got = exchange(t, addr, "GET", "/v2/app/manifests/2?ns=reg.example")
	checkRefusal(t, got, 502, "UNAVAILABLE", "")
}

// pullIndex reads all that an index names and returns the number of layers. The client itself verifies every digest.
func pullIndex(t *testing.T, ref name.Reference) (layers int) {
	t.Helper()
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range manifest.Manifests {
		img, err := index.Image(desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers += pullImage(t, img)
	}
	return layers
}

func pullImage(t *testing.T, img v1.Image) int {
	t.Helper()
	if _, err := img.ConfigFile(); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		body, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return len(layers)
}

// serveCache serves a real cache of one origin, which is called reg.example, behind the access log.
func serveCache(t *testing.T, from *origin.Origin) string {
	t.Helper()
	log, m := logr.Discard(), metrics.New(prometheus.NewRegistry())
	s, err := store.Open(t.Context(), store.Options{Data: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Options{
		Registries: []upstream.Registry{{Host: "reg.example", Endpoints: []string{from.URL()}}}, Metrics: m, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c := cache.New(cache.Options{Store: s, Origin: client, Policies: unchecked{}, Metrics: m, Log: log})
	t.Cleanup(c.Close)
	server := httptest.NewServer(httpx.Observe(m, logging.NewTyped(log), New(c, Options{Log: testr.New(t)})))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// unchecked are policies under which no tag is checked.
type unchecked struct{}

func (unchecked) Policy(imageref.Repository, string) cache.Policy { return cache.Policy{} }
func (unchecked) Listing(imageref.Repository) time.Duration       { return time.Hour }
func (unchecked) Named(imageref.Repository, string) bool          { return false }
func (unchecked) Periodic() []imageref.Repository                 { return nil }
func (unchecked) Generation() uint64                              { return 0 }

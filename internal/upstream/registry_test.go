package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// realRegistries are the origins that others wrote.
var realRegistries = []struct {
	name       string
	openRanges bool // understands bytes=N-
	start      func(t *testing.T) http.Handler
}{
	{"Go-containerregistry with the referrers API", false, func(*testing.T) http.Handler {
		return registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	}},
	{"Distribution without the referrers API", true, func(t *testing.T) http.Handler {
		config := &configuration.Configuration{Storage: configuration.Storage{
			"inmemory":    configuration.Parameters{},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		}}
		config.HTTP.Secret = "test"
		config.Catalog.MaxEntries = 100
		app := handlers.NewApp(context.Background(), config)
		t.Cleanup(func() { must(t, app.Shutdown()) })
		return app
	}},
}

// image is a pushed image.
type image struct {
	repo     imageref.Repository
	manifest []byte
	digest   digest.Digest
	layer    []byte
	layerID  digest.Digest
}

func pushImage(t *testing.T, host string, tags ...string) image {
	t.Helper()
	img, err := random.Image(64<<10, 1)
	must(t, err)
	for _, tag := range tags {
		must(t, remote.Write(reference(t, host, ":"+tag), img))
	}
	layers, err := img.Layers()
	must(t, err)
	content, err := layers[0].Compressed()
	must(t, err)
	layer, err := io.ReadAll(content)
	must(t, err)
	manifest, err := img.RawManifest()
	must(t, err)
	return image{repo: app(host), manifest: manifest, digest: digest.FromBytes(manifest), layer: layer,
		layerID: digest.FromBytes(layer)}
}

func reference(t *testing.T, host, suffix string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(host + "/team/app" + suffix)
	must(t, err)
	return ref
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startReal(t *testing.T, h http.Handler) (host string, c *Client) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	host = hostOf(t, s.URL)
	return host, newClient(t, at(host, s.URL))
}

func TestClient_RealRegistries(t *testing.T) {
	t.Parallel()
	for _, r := range realRegistries {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			host, c := startReal(t, r.start(t))
			img := pushImage(t, host, "v2", "latest", "v1")
			t.Run("Manifest by tag and by digest", func(t *testing.T) { checkManifest(t, c, img) })
			t.Run("Blob whole and in part", func(t *testing.T) { checkBlob(t, c, img, r.openRanges) })
			t.Run("Tags in order", func(t *testing.T) { checkTags(t, c, img) })
			t.Run("What is not there", func(t *testing.T) { checkMissing(t, c, img) })
			t.Run("Referrers", func(t *testing.T) { checkReferrers(t, c, img) })
		})
	}
}

func checkManifest(t *testing.T, c *Client, img image) {
	for _, reference := range []string{"latest", img.digest.String()} {
		desc, early, err := c.ResolveManifest(t.Context(), img.repo, reference)
		must(t, err)
		if early != nil {
			t.Errorf("resolving %s fetched the manifest though the origin tells its digest", reference)
		}
		m, err := c.Manifest(t.Context(), img.repo, reference)
		must(t, err)
		if diff := cmp.Diff(desc, m.Descriptor); diff != "" {
			t.Errorf("HEAD and GET of %s differ:\n%s", reference, diff)
		}
		if m.Digest != img.digest || !bytes.Equal(m.Body, img.manifest) || m.MediaType != string(types.DockerManifestSchema2) {
			t.Errorf("got manifest %s of type %s, want the pushed %s", m.Digest, m.MediaType, img.digest)
		}
	}
}

func checkBlob(t *testing.T, c *Client, img image, openRanges bool) {
	desc, err := c.ResolveBlob(t.Context(), img.repo, img.layerID)
	must(t, err)
	size := int64(len(img.layer))
	if desc.Size != size || desc.Digest != img.layerID {
		t.Errorf("resolved to %d bytes, want %d", desc.Size, size)
	}
	for _, tt := range []struct{ offset, length, end int64 }{{0, -1, size}, {100, -1, size}, {0, 10, 10}, {size - 5, 5, size}} {
		if tt.offset > 0 && tt.length < 0 && !openRanges {
			continue
		}
		b, err := c.Blob(t.Context(), img.repo, img.layerID, tt.offset, tt.length)
		must(t, err)
		got := readAll(t, b)
		if !bytes.Equal(got, img.layer[tt.offset:tt.end]) || b.Offset != tt.offset || b.Size != size {
			t.Errorf("range %d+%d: got %d bytes from %d of %d", tt.offset, tt.length, len(got), b.Offset, b.Size)
		}
	}
}

func readAll(t *testing.T, b *Blob) []byte {
	t.Helper()
	defer b.Body.Close()
	content, err := io.ReadAll(b.Body)
	must(t, err)
	return content
}

func checkTags(t *testing.T, c *Client, img image) {
	tags, err := c.Tags(t.Context(), img.repo)
	must(t, err)
	if diff := cmp.Diff([]string{"latest", "v1", "v2"}, tags); diff != "" {
		t.Error(diff)
	}
}

func checkMissing(t *testing.T, c *Client, img image) {
	missing := digest.FromString("missing")
	_, _, err := c.ResolveManifest(t.Context(), img.repo, "missing")
	_ = wantError(t, err, NotFound)
	_, err = c.Manifest(t.Context(), img.repo, missing.String())
	_ = wantError(t, err, NotFound)
	_, err = c.ResolveBlob(t.Context(), img.repo, missing)
	_ = wantError(t, err, NotFound)
	_, err = c.Blob(t.Context(), img.repo, missing, 0, -1)
	if e := wantError(t, err, NotFound); e.Status != http.StatusNotFound || e.Credential != "anonymous" || e.Host != img.repo.Host {
		t.Errorf("got %+v", e)
	}
	_, err = c.Tags(t.Context(), imageref.Repository{Host: img.repo.Host, Path: "no/such"})
	_ = wantError(t, err, NotFound)
}

func checkReferrers(t *testing.T, c *Client, img image) {
	none, err := c.Referrers(t.Context(), img.repo, img.digest)
	must(t, err)
	if none == nil || len(none) != 0 {
		t.Errorf("got %v before anything refers there, want an empty list", none)
	}
	signature := pushReferrer(t, img)
	got, err := c.Referrers(t.Context(), img.repo, img.digest)
	must(t, err)
	if len(got) != 1 || got[0].Digest != signature {
		t.Errorf("got %v, want the signature %s", got, signature)
	}
}

// pushReferrer attaches an image to another. The library writes the fallback tag where there is no API.
func pushReferrer(t *testing.T, img image) digest.Digest {
	t.Helper()
	hash, err := v1.NewHash(img.digest.String())
	must(t, err)
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.example.signature")
	attached := mutate.Subject(base, v1.Descriptor{
		MediaType: types.DockerManifestSchema2, Size: int64(len(img.manifest)), Digest: hash,
	}).(v1.Image)
	dgst, err := attached.Digest()
	must(t, err)
	must(t, remote.Write(reference(t, img.repo.Host, "@"+dgst.String()), attached))
	return digest.Digest(dgst.String())
}

func TestTags_FollowsPagesOfARealRegistry(t *testing.T) {
	t.Parallel()
	real := realRegistries[1].start(t)
	host, c := startReal(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("n") == "1000" {
			q := r.URL.Query()
			q.Set("n", "2")
			r.URL.RawQuery = q.Encode()
		}
		real.ServeHTTP(w, r)
	}))
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("v%d", i))
	}
	img := pushImage(t, host, want...)
	tags, err := c.Tags(t.Context(), img.repo)
	must(t, err)
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Error(diff)
	}
}

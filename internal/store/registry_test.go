package store

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// serveRegistry runs distribution's own registry over a folder.
func serveRegistry(t *testing.T, root string) *httptest.Server {
	t.Helper()
	return serveRegistryOn(t, Options{Data: root})
}

// serveRegistryOn runs it over what a store of those options has.
func serveRegistryOn(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	driver, parameters := "filesystem", configuration.Parameters{"rootdirectory": o.Data}
	if o.Driver != "" {
		driver, parameters = o.Driver, o.Parameters
	}
	config := &configuration.Configuration{Storage: configuration.Storage{
		driver:        parameters,
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		"redirect":    {"disable": true},
	}}
	config.HTTP.Secret = "test"
	config.Catalog.MaxEntries = 100
	app := handlers.NewApp(context.Background(), config)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, server *httptest.Server, path string) (http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", ocispec.MediaTypeImageManifest)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	wantNone(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, response.Status, body)
	}
	return response.Header, body
}

// onEach runs a test on a folder and on a bucket.
func onEach(t *testing.T, run func(*testing.T, Options)) {
	t.Helper()
	t.Parallel()
	t.Run("A folder", func(t *testing.T) {
		t.Parallel()
		run(t, Options{Data: t.TempDir()})
	})
	t.Run("A bucket", func(t *testing.T) {
		t.Parallel()
		run(t, Options{Data: t.TempDir(), Driver: "s3", Parameters: bucketOf(t)})
	})
}

func TestLayout_AnyRegistryReadsWhatWeWrote(t *testing.T) { onEach(t, testRegistryReads) }

func testRegistryReads(t *testing.T, o Options) {
	s, _ := openStore(t, o)
	repo := imageref.Repository{Host: "reg.example:5000", Path: "team/app"}
	layer := randomBytes(5000)
	dgst := commit(t, s, layer)
	wantNone(t, s.LinkBlob(t.Context(), repo, ocispec.Descriptor{Digest: dgst, Size: int64(len(layer))}))
	desc, manifest := manifestOf(t, "ours")
	wantNone(t, s.PutManifest(t.Context(), repo, desc, manifest))
	for _, tag := range []string{"1.0", "gone"} {
		wantNone(t, s.PutTag(t.Context(), repo, tag, TagRecord{Digest: desc.Digest}))
	}
	wantNone(t, s.PutTag(t.Context(), repo, "gone", TagRecord{Digest: desc.Digest, Untagged: true}))
	wantNone(t, s.PutDocument(t.Context(), repo, "tags", []byte("ours")))

	server := serveRegistryOn(t, o)
	base := "/v2/" + repo.Encode()
	_, list := get(t, server, base+"/tags/list")
	wantEqual(t, string(bytes.TrimSpace(list)), `{"name":"reg.example_5000/team/app","tags":["1.0"]}`)
	for _, reference := range []string{"1.0", desc.Digest.String()} {
		header, body := get(t, server, base+"/manifests/"+reference)
		wantEqual(t, string(body), string(manifest))
		wantEqual(t, header.Get("Content-Type"), desc.MediaType)
		wantEqual(t, header.Get("Docker-Content-Digest"), desc.Digest.String())
	}
	_, body := get(t, server, base+"/blobs/"+dgst.String())
	if !bytes.Equal(body, layer) {
		t.Errorf("the registry serves %d other bytes", len(body))
	}
	_, catalog := get(t, server, "/v2/_catalog")
	wantEqual(t, string(bytes.TrimSpace(catalog)), `{"repositories":["reg.example_5000/team/app"]}`)
}

func TestLayout_WeReadWhatARegistryWrote(t *testing.T) { onEach(t, testRegistryWrote) }

func testRegistryWrote(t *testing.T, o Options) {
	server := serveRegistryOn(t, o)
	image, err := random.Image(2000, 2)
	wantNone(t, err)
	reference, err := name.ParseReference(server.Listener.Addr().String()+"/docker.io/library/pushed:1.0", name.Insecure)
	wantNone(t, err)
	if err := remote.Write(reference, image, remote.WithContext(t.Context()), remote.WithTransport(server.Client().Transport)); err != nil {
		t.Fatal(err)
	}

	s, _ := openStore(t, o)
	repo := imageref.Repository{Host: "docker.io", Path: "library/pushed"}
	var repositories []imageref.Repository
	wantNone(t, s.Repositories(t.Context(), func(r imageref.Repository) error {
		repositories = append(repositories, r)
		return nil
	}))
	wantEqual(t, repositories, []imageref.Repository{repo})
	want, err := image.RawManifest()
	wantNone(t, err)
	rec, err := s.Tag(t.Context(), repo, "1.0")
	wantNone(t, err)
	wantEqual(t, rec, TagRecord{Digest: digest.FromBytes(want)})
	body, desc, err := s.ReadManifest(t.Context(), repo, rec.Digest)
	wantNone(t, err)
	wantEqual(t, string(body), string(want))
	mediaType, err := image.MediaType()
	wantNone(t, err)
	wantEqual(t, desc.MediaType, string(mediaType))

	layers, err := image.Layers()
	wantNone(t, err)
	for _, layer := range layers {
		hash, err := layer.Digest()
		wantNone(t, err)
		size, err := layer.Size()
		wantNone(t, err)
		linked, err := s.LinkedBlob(t.Context(), repo, digest.Digest(hash.String()))
		wantNone(t, err)
		wantEqual(t, linked.Size, int64(-1))
		stored, err := s.StatBlob(t.Context(), linked.Digest)
		wantNone(t, err)
		wantEqual(t, stored, size)
	}
}

// TestLayout_WeReadWhatKubeImageKeeperWrote adopts its registry's store, where a port is written another way.
func TestLayout_WeReadWhatKubeImageKeeperWrote(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	server := serveRegistry(t, root)
	image, err := random.Image(2000, 2)
	wantNone(t, err)
	reference, err := name.ParseReference(server.Listener.Addr().String()+"/reg.example-5000/team/app:1.0", name.Insecure)
	wantNone(t, err)
	if err := remote.Write(reference, image, remote.WithContext(t.Context()), remote.WithTransport(server.Client().Transport)); err != nil {
		t.Fatal(err)
	}

	s, _ := openStore(t, Options{Data: root})
	repo := imageref.Repository{Host: "reg.example:5000", Path: "team/app"}
	var repositories []imageref.Repository
	wantNone(t, s.Repositories(t.Context(), func(r imageref.Repository) error {
		repositories = append(repositories, r)
		return nil
	}))
	wantEqual(t, repositories, []imageref.Repository{repo})
	tags, err := s.Tags(t.Context(), repo)
	wantNone(t, err)
	wantEqual(t, tags, []string{"1.0"})
	rec, err := s.Tag(t.Context(), repo, "1.0")
	wantNone(t, err)
	want, err := image.RawManifest()
	wantNone(t, err)
	wantEqual(t, rec, TagRecord{Digest: digest.FromBytes(want)})
	body, desc, err := s.ReadManifest(t.Context(), repo, rec.Digest)
	wantNone(t, err)
	wantEqual(t, string(body), string(want))
	layers, err := image.Layers()
	wantNone(t, err)
	for _, layer := range layers {
		hash, err := layer.Digest()
		wantNone(t, err)
		_, err = s.LinkedBlob(t.Context(), repo, digest.Digest(hash.String()))
		wantNone(t, err)
	}
	// What Larder learns of it is written under Larder's own name, and there once.
	rec.CheckedAt = time.Now().UTC()
	wantNone(t, s.PutManifest(t.Context(), repo, desc, body))
	wantNone(t, s.PutTag(t.Context(), repo, "1.0", rec))
	again, err := s.Tag(t.Context(), repo, "1.0")
	wantNone(t, err)
	wantEqual(t, again, rec)
	var manifests []digest.Digest
	wantNone(t, s.Manifests(t.Context(), repo, func(d digest.Digest) error { manifests = append(manifests, d); return nil }))
	wantEqual(t, manifests, []digest.Digest{rec.Digest})
}

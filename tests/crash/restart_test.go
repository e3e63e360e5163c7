package crash

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// startBound is far above what a start may take: a second is the promise, and this machine may be busy. The log says what it took.
const startBound = 30 * time.Second

// TestRestart_P1_WithManyImages starts larder serve on a store of many images, 10,000 in the long part.
func TestRestart_P1_WithManyImages(t *testing.T) {
	t.Parallel()
	images := scale(1_000, 10_000)
	l := process.New(t, origin.New(t))
	l.Kill()
	sample := fill(t, filepath.Join(l.Dir, "larder-data"), images)
	begun := time.Now()
	l.Start(t)
	took := time.Since(begun)
	t.Logf("larder serve listens %s after it was started on %d images", took.Round(time.Millisecond), images)
	if took > startBound {
		t.Errorf("the start took %s, want far less than %s", took, startBound)
	}
	for _, n := range []int{0, images / 2, images - 1} {
		want := sample.numbered(n)
		resp, body := l.Get(t, http.MethodGet, "/v2/"+host+"/"+want.path+"/manifests/1")
		if resp.StatusCode != http.StatusOK || digest.FromBytes(body) != want.manifest {
			t.Errorf("image %d: got status %d and %d bytes, want %s", n, resp.StatusCode, len(body), want.manifest)
		}
		resp, body = l.Get(t, http.MethodGet, "/v2/"+host+"/"+want.path+"/blobs/"+want.config.String())
		if resp.StatusCode != http.StatusOK || digest.FromBytes(body) != want.config {
			t.Errorf("image %d: got status %d and %d bytes, want %s", n, resp.StatusCode, len(body), want.config)
		}
	}
}

// template is an image that the store wrote, with the files that this took.
type template struct {
	numberedImage
	files map[string][]byte // by path below the store
}

// numberedImage is one of many images that differ in a number.
type numberedImage struct {
	path         string
	body         []byte // of the manifest
	manifest     digest.Digest
	configuredBy []byte
	config       digest.Digest
}

func (*template) numbered(n int) numberedImage {
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{"number":"%06d"}}}`, n)
	dgst := digest.FromBytes(config)
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, dgst, len(config))
	return numberedImage{
		path: fmt.Sprintf("app%06d", n), body: body, manifest: digest.FromBytes(body), configuredBy: config, config: dgst,
	}
}

// fill has the store write one image, and repeats the files that it wrote for others: the store would sync each.
func fill(t *testing.T, root string, images int) *template {
	t.Helper()
	sample := &template{files: map[string][]byte{}}
	sample.numberedImage = sample.numbered(0)
	sample.write(t, root)
	sample.read(t, root)
	for n := 1; n < images; n++ {
		sample.repeat(t, root, sample.numbered(n))
	}
	return sample
}

// write stores the template as a mirror does.
func (s *template) write(t *testing.T, root string) {
	t.Helper()
	kept, err := store.Open(t.Context(), store.Options{Data: root, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	repo := imageref.Repository{Host: host, Path: s.path}
	manifest := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: s.manifest, Size: int64(len(s.body))}
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: s.config, Size: int64(len(s.configuredBy))}
	spool, err := kept.NewSpool(config.Digest, config.Size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Write(s.configuredBy); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	record := store.TagRecord{
		Digest: s.manifest, MediaType: manifest.MediaType, Size: manifest.Size, Complete: s.manifest,
		CheckedAt: now, ChangedAt: now, PulledAt: now,
	}
	for _, step := range []func() error{
		func() error { return spool.Commit(t.Context()) },
		func() error { return kept.LinkBlob(t.Context(), repo, config) },
		func() error { return kept.PutManifest(t.Context(), repo, manifest, s.body) },
		func() error { return kept.PutTag(t.Context(), repo, "1", record) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// read keeps the files that are the template's alone.
func (s *template) read(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "docker"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s.files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(s.files) < 5 {
		t.Fatalf("the store wrote %d files: %v", len(s.files), err)
	}
}

// repeat writes the template's files for another image.
func (s *template) repeat(t *testing.T, root string, img numberedImage) {
	t.Helper()
	rename := strings.NewReplacer(
		shard(s.manifest), shard(img.manifest), s.manifest.Encoded(), img.manifest.Encoded(),
		shard(s.config), shard(img.config), s.config.Encoded(), img.config.Encoded(), "/"+s.path+"/", "/"+img.path+"/",
	)
	for name, content := range s.files {
		switch {
		case bytes.Equal(content, s.body):
			content = img.body
		case bytes.Equal(content, s.configuredBy):
			content = img.configuredBy
		default:
			content = []byte(rename.Replace(string(content)))
		}
		path := filepath.Join(root, rename.Replace(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// shard is how a digest begins in the path of its blob.
func shard(d digest.Digest) string { return "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/" }

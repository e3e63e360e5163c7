package main

import (
	"context"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/larder-dev/larder/tests/origin"
)

// realRegistry is distribution's own.
func realRegistry(t *testing.T) string {
	t.Helper()
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}, "maintenance": {"uploadpurging": map[any]any{"enabled": false}}}}
	config.HTTP.Secret = "test"
	server := httptest.NewServer(handlers.NewApp(context.Background(), config))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// succeed runs larder, which has to go well, and returns what it said.
func succeed(t *testing.T, folder string, args ...string) string {
	t.Helper()
	exit, out, errOut := finish(t, folder, args...)
	if exit != 0 {
		t.Fatalf("larder %q: exit %d, %q, %q", args, exit, out, errOut)
	}
	return out
}

// serving starts larder serve, which ends with the test.
func serving(t *testing.T, folder string) {
	t.Helper()
	cmd := startServe(t, folder)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// TestMove_RoundTrip takes images out of one store, with and without a process that owns it, and into others, the origin gone.
func TestMove_RoundTrip(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	index := o.Push(t, "team/app:v1", origin.RandomIndex(2, 64<<10, "linux/amd64", "linux/arm64"))
	image := o.Push(t, "team/app:v2", origin.RandomImage(3, 64<<10))
	source := workFolder(t, o)
	succeed(t, source, "pull", "reg.test/team/app:v1", "reg.test/team/app:v2")
	succeed(t, source, "export", "reg.test/team/app:v1", "reg.test/team/app:v2", "-o", "layout")
	serving(t, source)
	out := succeed(t, source, "export", "--all", "-o", "images.tar")
	if want := "reg.test/team/app:v1: digest " + index.Digest.String() + "\nreg.test/team/app:v2: digest " + image.Digest.String() + "\n"; out != want {
		t.Errorf("it said %q, want %q", out, want)
	}
	o.Refuse()

	registry := realRegistry(t)
	for what, test := range map[string]struct {
		layout string
		owned  bool
	}{"folder": {"layout", false}, "tar": {"images.tar", false}, "owned": {"images.tar", true}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			target := workFolder(t, o)
			if test.owned {
				serving(t, target)
			}
			if got := succeed(t, target, "import", filepath.Join(source, test.layout)); got != out {
				t.Errorf("it said %q, want %q", got, out)
			}
			for _, tag := range []string{"v1", "v2"} {
				copied := registry + "/" + what + "/app:" + tag
				succeed(t, target, "copy", "reg.test/team/app:"+tag, copied)
				wantSame(t, copied, map[string]string{"v1": index.Digest.String(), "v2": image.Digest.String()}[tag])
			}
		})
	}
}

// TestExport_TheImagesThatAClusterUses reads their names from standard input, as kubectl lists them.
func TestExport_TheImagesThatAClusterUses(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	for _, tag := range []string{"v1", "v2", "v3"} {
		o.Push(t, "team/app:"+tag, origin.RandomImage(1, 4<<10))
	}
	source, target := workFolder(t, o), workFolder(t, o)
	succeed(t, source, "pull", "reg.test/team/app:v1", "reg.test/team/app:v2", "reg.test/team/app:v3")
	exit, out, errOut := finishWith(t, "reg.test/team/app:v1\nreg.test/team/app:v3\n", source, "export", "-f", "-", "-o", "images.tar")
	if exit != 0 {
		t.Fatalf("larder export: exit %d, %q", exit, errOut)
	}
	if got := succeed(t, target, "import", filepath.Join(source, "images.tar")); got != out || strings.Count(got, "\n") != 2 {
		t.Errorf("it took %q out, and %q came in; want two images", out, got)
	}
}

// wantSame pulls an image from a registry, and verifies every byte of it.
func wantSame(t *testing.T, image, dgst string) {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Get(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest.String() != dgst {
		t.Errorf("%s has digest %s, want %s", image, got.Digest, dgst)
	}
	if !got.MediaType.IsIndex() {
		readImage(t, got.Image)
		return
	}
	index, err := got.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	readIndex(t, index)
}

// readIndex reads all images of an index, and of those in it.
func readIndex(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if !m.MediaType.IsIndex() {
			readImage(t, func() (v1.Image, error) { return index.Image(m.Digest) })
			continue
		}
		below, err := index.ImageIndex(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		readIndex(t, below)
	}
}

// readImage reads config and layers, whose digests the library verifies.
func readImage(t *testing.T, open func() (v1.Image, error)) {
	t.Helper()
	image, err := open()
	if err != nil {
		t.Fatal(err)
	}
	layers, layersErr := image.Layers()
	if _, err := image.RawConfigFile(); err != nil || layersErr != nil {
		t.Fatal(err, layersErr)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err == nil {
			_, err = io.Copy(io.Discard, content)
			_ = content.Close()
		}
		if err != nil {
			t.Errorf("reading a layer: %v", err)
		}
	}
}

func TestImport_B4_AWrongByteTagsNothing(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	image := o.Push(t, "team/app:v1", origin.RandomImage(2, 64<<10))
	source, target := workFolder(t, o), workFolder(t, o)
	succeed(t, source, "pull", "reg.test/team/app:v1")
	succeed(t, source, "export", "reg.test/team/app:v1", "-o", "layout")
	o.Refuse()
	layer := filepath.Join(source, "layout", "blobs", "sha256", image.Blobs[1].Digest.Encoded())
	content, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	content[100] ^= 1
	if err := os.WriteFile(layer, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, errOut := finish(t, target, "import", filepath.Join(source, "layout")); exit != 1 || !strings.Contains(errOut, "another digest") {
		t.Errorf("a wrong byte: exit %d, %q; want 1 and what is wrong", exit, errOut)
	}
	if err := os.Remove(layer); err != nil {
		t.Fatal(err)
	}
	if exit, _, errOut := finish(t, target, "import", filepath.Join(source, "layout")); exit != 1 || !strings.Contains(errOut, image.Blobs[1].Digest.String()) {
		t.Errorf("a missing blob: exit %d, %q; want 1 and its digest", exit, errOut)
	}
	if exit, _, errOut := finish(t, target, "export", "--all", "-o", "out"); exit != 1 || !strings.Contains(errOut, "there is no image to export") {
		t.Errorf("exit %d, %q; want that nothing was tagged", exit, errOut)
	}
}

// TestExport_OthersReadTheLayout has another library read it, and verify every byte.
func TestExport_OthersReadTheLayout(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	index := o.Push(t, "team/app:v1", origin.RandomIndex(2, 64<<10, "linux/amd64", "linux/arm64"))
	image := o.Push(t, "team/app:v2", origin.RandomImage(3, 64<<10))
	folder := workFolder(t, o)
	succeed(t, folder, "pull", "reg.test/team/app:v1", "reg.test/team/app:v2")
	succeed(t, folder, "export", "--all", "-o", "layout")
	read, err := layout.ImageIndexFromPath(filepath.Join(folder, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(read, validate.Fast); err != nil { // the layers are not gzip's
		t.Error(err)
	}
	readIndex(t, read)
	manifest, err := read.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range manifest.Manifests {
		got[m.Annotations["org.opencontainers.image.ref.name"]] = m.Digest.String()
	}
	for tag, want := range map[string]origin.Image{"v1": index, "v2": image} {
		if !slices.Contains(slices.Collect(maps.Values(got)), want.Digest.String()) {
			t.Errorf("the layout has %v, want %s of %s", got, want.Digest, tag)
		}
	}
}

func TestExport_WritesNothingIntoTheStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if exit, _, errOut := finish(t, folder, "export", "--all", "-o", "out"); exit != 1 || !strings.Contains(errOut, "there is no image to export") {
		t.Errorf("exit %d, %q; want 1 and that there is no image", exit, errOut)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestExport_CanBeRepeatedAfterAFailure(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	o.Push(t, "team/late:v1", origin.RandomImage(1, 4<<10))
	folder := workFolder(t, o)
	succeed(t, folder, "pull", "reg.test/team/app:v1")
	export := func(output string) []string {
		return []string{"export", "reg.test/team/app:v1", "reg.test/team/late:v1", "-o", output}
	}
	for _, output := range []string{"out.tar", "out"} {
		if exit, _, errOut := finish(t, folder, export(output)...); exit != 1 {
			t.Errorf("%s: exit %d, %s; want 1: an image is not stored", output, exit, errOut)
		}
	}
	succeed(t, folder, "pull", "reg.test/team/late:v1")
	for _, output := range []string{"out.tar", "out"} {
		succeed(t, folder, export(output)...)
		if exit, _, errOut := finish(t, folder, export(output)...); exit != 1 || !strings.Contains(errOut, "name another") {
			t.Errorf("%s: exit %d, %q; want it kept as it is", output, exit, errOut)
		}
	}
}

func TestMove_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomIndex(1, 4<<10, "linux/amd64", "linux/arm64"))
	folder := workFolder(t, o)
	succeed(t, folder, "pull", "--platform", "linux/amd64", "reg.test/team/app:v1")
	for name, tt := range map[string]struct {
		args []string
		exit int
		says string
	}{
		"Nothing to import":      {[]string{"import"}, 2, "write the layout to import: a folder, or a tar file"},
		"Two to import":          {[]string{"import", "a", "b"}, 2, `"b": one word too many`},
		"Nowhere to copy to":     {[]string{"copy", "postgres:15"}, 2, "write where to: registry.example/repository:tag"},
		"A compressed layout":    {[]string{"export", "--all", "-o", "x.tgz"}, 1, "a layout is not compressed"},
		"Nothing to export":      {[]string{"export", "-o", "x"}, 2, "name at least one image"},
		"Nowhere to":             {[]string{"export", "--all"}, 2, "--output"},
		"An image not stored":    {[]string{"export", "reg.test/team/none:v1", "-o", "x"}, 1, "larder pull reg.test/team/none:v1"},
		"A target without a tag": {[]string{"copy", "reg.test/team/app:v1", "127.0.0.1:1/app"}, 2, "registry/repository:tag"},
		"A part of an index":     {[]string{"copy", "reg.test/team/app:v1", realRegistry(t) + "/app:v1"}, 1, "run larder pull reg.test/team/app:v1 first"},
		"A layout that is none":  {[]string{"import", "larder.yaml"}, 1, "larder.yaml"},
		"A layout not there":     {[]string{"import", "none"}, 1, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if exit, _, errOut := finish(t, folder, tt.args...); exit != tt.exit || !strings.Contains(errOut, tt.says) {
				t.Errorf("exit %d, %q; want %d and %q", exit, errOut, tt.exit, tt.says)
			}
		})
	}
}

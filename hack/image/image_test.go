package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// source makes a module with a small cmd/larder, in a folder of its own.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":             "module github.com/larder-dev/larder\n\ngo 1.26.0\n",
		"cmd/larder/main.go": "package main\n\nvar linked string\n\nfunc main() { println(linked) }\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// options builds source's module for both platforms.
func options(t *testing.T) buildOptions {
	t.Helper()
	return buildOptions{
		source: source(t), out: t.TempDir(), version: "v1.2.3", prefix: "registry.example/team", ldflags: "-s -w -X main.linked=v1.2.3",
		created:  time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC),
		commands: []command{{name: "larder", pkg: "./cmd/larder", title: "Larder"}}, platforms: platforms,
	}
}

// build returns the printed digests.
func build(t *testing.T, o buildOptions) string {
	t.Helper()
	var out strings.Builder
	if err := o.build(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestBuild_SameDigestInAnyFolder(t *testing.T) {
	t.Parallel()
	first, second, later := options(t), options(t), options(t)
	later.created = later.created.Add(time.Hour)
	digest := build(t, first)
	if diff := cmp.Diff(digest, build(t, second)); diff != "" {
		t.Errorf("the digests of two builds differ:\n%s", diff)
	}
	for _, file := range []string{"larder.tar", "larder-linux-arm64.cdx.json"} {
		if !bytes.Equal(read(t, first.out, file), read(t, second.out, file)) {
			t.Errorf("%s differs between two builds", file)
		}
	}
	if build(t, later) == digest {
		t.Error("the digest does not depend on the time of the source: the test compares nothing")
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// opened returns the index of platforms in the layout that o wrote.
func opened(t *testing.T, o buildOptions) v1.ImageIndex {
	t.Helper()
	list, err := layout.ImageIndexFromPath(filepath.Join(o.out, "larder"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := list.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest.Manifests[0].Annotations[containerdName]; got != "registry.example/team/larder:v1.2.3" {
		t.Errorf("containerd would name it %q", got)
	}
	idx, err := list.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

func TestBuild_WritesAValidIndexOfBothPlatforms(t *testing.T) {
	t.Parallel()
	o := options(t)
	build(t, o)
	idx := opened(t, o)
	if err := validate.Index(idx); err != nil {
		t.Errorf("the index is not valid: %v", err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, desc := range manifest.Manifests {
		names = append(names, desc.Platform.String())
		checkImage(t, idx, desc)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, names); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func checkImage(t *testing.T, idx v1.ImageIndex, desc v1.Descriptor) {
	t.Helper()
	img, err := idx.Image(desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{config.OS + "/" + config.Architecture, config.Config.User, config.Config.Entrypoint[0], config.Created.String()}
	want := []string{desc.Platform.String(), "65532:65532", "/usr/bin/larder", "2026-11-25 12:00:00 +0000 UTC"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("platform, user, entrypoint, time (-want +got):\n%s", diff)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, l := range layers {
		files = append(files, list(t, l)...)
	}
	if diff := cmp.Diff([]string{
		"drwxr-xr-x etc/", "-rw-r--r-- etc/group", "-rw-r--r-- etc/passwd", "drwxr-xr-x etc/ssl/", "drwxr-xr-x etc/ssl/certs/",
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt", "dtrwxrwxrwx tmp/", "drwxr-xr-x usr/", "drwxr-xr-x usr/bin/", "-rwxr-xr-x usr/bin/larder",
	}, files); diff != "" {
		t.Errorf("files of all layers (-want +got):\n%s", diff)
	}
}

// list returns mode and name of each file, and checks that each is root's.
func list(t *testing.T, l v1.Layer) []string {
	t.Helper()
	content, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var files []string
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", header.Name, header.Uid, header.Gid)
		}
		files = append(files, header.FileInfo().Mode().String()+" "+header.Name)
	}
}

func TestAuthorities_ParseAndAreManifold(t *testing.T) {
	t.Parallel()
	count := 0
	for block, rest := pem.Decode(authorities()); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !cert.IsCA {
			t.Errorf("%s is no authority", cert.Subject)
		}
		count++
	}
	if count < 100 {
		t.Errorf("%d authorities, want at least 100", count)
	}
}

func TestBuild_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.commands = []command{{name: "larder-absent", pkg: "./cmd/larder-absent"}}
	err := o.build(t.Context(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "there is nothing to build larder-absent from") {
		t.Errorf("building without sources: %v", err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"Neither registry nor containerd": {[]string{"load"}, "IMAGE_REGISTRY=host:port/prefix"},
		"Both":                            {[]string{"load", "-registry", "a", "-containerd", "b"}, "to one of"},
		"Not built yet":                   {[]string{"load", "-registry", "localhost:1", "-in", t.TempDir()}, "make image writes it"},
		"No version":                      {nil, "-version is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(context.Background(), test.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("run says %v, want %q in it", err, test.want)
			}
		})
	}
}

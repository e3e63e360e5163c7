package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/tests/origin"
)

func TestLoad_PushesTheSameBytesAndTheSBOMs(t *testing.T) {
	t.Parallel()
	o := options(t)
	build(t, o)
	for kind, opts := range map[string][]origin.Option{
		"With the referrers API": {origin.WithReferrers()}, "Without it, by the tag of referrers": nil,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			registry := origin.New(t, opts...).Host() + "/team"
			err := loadOptions{in: o.out, registry: registry, commands: o.commands}.load(t.Context(), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			checkPushed(t, registry+"/larder", o)
		})
	}
}

func checkPushed(t *testing.T, repository string, o buildOptions) {
	t.Helper()
	tag, err := name.NewTag(repository + ":v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(manifestOf(t, opened(t, o)), manifestOf(t, got)) {
		t.Error("the registry's index is not the layout's")
	}
	manifest, err := got.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range manifest.Manifests {
		want := read(t, o.out, "larder-linux-"+desc.Platform.Architecture+".cdx.json")
		if diff := cmp.Diff(string(want), referrer(t, tag.Digest(desc.Digest.String()))); diff != "" {
			t.Errorf("SBOM of %s (-want +got):\n%s", desc.Platform, diff)
		}
	}
}

func manifestOf(t *testing.T, idx v1.ImageIndex) []byte {
	t.Helper()
	raw, err := idx.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// referrer returns the content of the one SBOM that refers to an image.
func referrer(t *testing.T, image name.Digest) string {
	t.Helper()
	found, err := remote.Referrers(image, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := found.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("referrers of %s: %+v, want one", image, manifest.Manifests)
	}
	artifact, err := remote.Image(image.Digest(manifest.Manifests[0].Digest.String()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	// go-containerregistry's registry lists the config's media type as the artifact's.
	if own, err := artifact.Manifest(); err != nil || own.ArtifactType != sbomType {
		t.Fatalf("artifact of %s: %+v, %v, want the type %s", image, own, err, sbomType)
	}
	layers, err := artifact.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	sbom, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(sbom)
}

func TestLoad_SendsNothingOverPlainHTTPUnasked(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1:5000/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := (guarded{}).RoundTrip(r); err == nil || !strings.Contains(err.Error(), "IMAGE_PLAIN_HTTP=true") {
		if resp != nil {
			resp.Body.Close()
		}
		t.Errorf("asking over plain HTTP: %v", err)
	}
}

func TestLoad_ImportsForTheKubelet(t *testing.T) {
	t.Parallel()
	o := options(t)
	build(t, o)
	script := filepath.Join(t.TempDir(), "ctr")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := loadOptions{in: o.out, containerd: "/run/c.sock", ctr: script, commands: o.commands}.load(t.Context(), &out)
	if err != nil {
		t.Fatal(err)
	}
	want := "--address /run/c.sock --namespace k8s.io images import " + filepath.Join(o.out, "larder.tar") + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("ctr was told (-want +got):\n%s", diff)
	}
}

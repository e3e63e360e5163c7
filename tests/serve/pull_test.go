// Package serve tests the whole process: the real binary, a real registry as its origin, go-containerregistry's own client.
package serve

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// reference is how a client names an image of the origin at larder.
func (l larder) reference(t testing.TB, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(l.Addr + "/" + host + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pull pulls an image with everything that it names, through go-containerregistry, which verifies every digest, and compares the
// manifests to the origin's bytes.
func (l larder) pull(t testing.TB, img origin.Image) {
	t.Helper()
	got, err := remote.Get(l.reference(t, img.Name()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", img.Name(), err)
	}
	if !bytes.Equal(got.Manifest, img.Body) || string(got.MediaType) != img.MediaType {
		t.Errorf("%s: the manifest is not the origin's, byte for byte, or has the media type %s, not %s", img.Name(), got.MediaType, img.MediaType)
	}
	if got.MediaType.IsIndex() {
		for _, child := range img.Manifests {
			child.Repository, child.Tag = img.Repository, ""
			l.pull(t, child)
		}
		return
	}
	image, err := got.Image()
	if err != nil {
		t.Fatal(err)
	}
	readLayers(t, image)
}

func readLayers(t testing.TB, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		r, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r) // the client verifies size and digest
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := image.RawConfigFile(); err != nil {
		t.Fatal(err)
	}
}

func TestServe_EveryKindOfImageByteForByte(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	signed := o.Push(t, "app:oci", origin.RandomImage(3, 1<<16))
	images := []origin.Image{
		signed,
		o.Push(t, "app:docker", origin.RandomDockerImage(2, 1<<16)),
		o.Push(t, "app:index", origin.RandomIndex(2, 1<<14, "linux/amd64", "linux/arm64")),
		o.Push(t, "app:list", origin.RandomDockerList(2, 1<<14, "linux/amd64", "linux/arm/v7")),
		o.Push(t, "deep/er/path:1", origin.RandomImage(1, 1<<14)),
		o.Push(t, "app", origin.RandomImage(1, 1<<14)), // by digest only
		o.Push(t, "app:"+origin.SignatureTag(signed.Digest), origin.RandomImage(1, 1<<12)),
	}
	for _, state := range []struct {
		name   string
		change func()
	}{
		{"cold", func() {}},
		{"warm", func() {}},
		{"after a restart, with the origin down", func() { l.Settle(t); o.Refuse(); l.Restart(t) }},
	} {
		state.change()
		for _, img := range images {
			t.Log(state.name, img.Name())
			l.pull(t, img)
		}
	}
}

func TestServe_Referrers(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]origin.Option{"API": {origin.WithReferrers()}, "fallback tag": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, opts...)
			l := newLarder(t, o)
			img := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			sbom := o.Push(t, "app", origin.Artifact(img, "application/vnd.example.sbom"))
			for _, down := range []bool{false, true} {
				if down {
					o.Refuse()
				}
				subject := l.reference(t, img.Name()).Context().Digest(img.Digest.String())
				idx, err := remote.Referrers(subject, remote.WithContext(t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				manifest, err := idx.IndexManifest()
				if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != sbom.Digest.String() {
					t.Errorf("with the origin down %v: got %+v (%v), want %s", down, manifest, err, sbom.Digest)
				}
				l.pull(t, sbom)
			}
		})
	}
}

func TestServe_T6_TheAnswerSaysThatItIsStale(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l := newLarder(t, o, "updateInterval: 0s", "updateFilters: ['app:1$']")
	o.Push(t, "app:other", origin.RandomImage(1, 1<<12))
	l.pull(t, img)
	l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/other")
	o.Refuse()
	for tag, want := range map[string]string{"1": "larder; hit; detail=stale-unreachable", "other": "larder; hit"} {
		resp, _ := l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/"+tag)
		if got := resp.Header.Get("Cache-Status"); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("tag %s: got status %d and Cache-Status %q, want 200 and %q", tag, resp.StatusCode, got, want)
		}
		if warned, want := resp.Header.Get("Warning") != "", tag == "1"; warned != want {
			t.Errorf("tag %s: got a warning %v, want %v", tag, warned, want)
		}
	}
}

func TestServe_MirrorFormNamesTheSameImage(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	img := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	resp, body := l.Get(t, http.MethodGet, "/v2/app/manifests/1?ns="+host)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("OCI-Namespace") != host || digest.FromBytes(body) != img.Digest {
		t.Errorf("got status %d, namespace %q and %d bytes", resp.StatusCode, resp.Header.Get("OCI-Namespace"), len(body))
	}
	resp, _ = l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/1")
	if got := resp.Header.Get("Cache-Status"); got != "larder; hit" {
		t.Errorf("the path form: got Cache-Status %q, want a hit", got)
	}
	resp, _ = l.Get(t, http.MethodGet, "/v2/app/manifests/1?ns=localhost:5000")
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another loopback namespace: got status %d, want 404", resp.StatusCode)
	}
}

// TestServe_WithoutAConfiguration starts in an empty folder, with no file at all.
func TestServe_WithoutAConfiguration(t *testing.T) {
	t.Parallel()
	l := process.NewUnconfigured(t)
	if resp, _ := l.Get(t, http.MethodGet, "/v2/"); resp.StatusCode != http.StatusOK {
		t.Errorf("got status %d, want 200", resp.StatusCode)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		resp, body := l.GetHealth(t, path)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got status %d, want 200", path, resp.StatusCode)
		}
		if path == "/metrics" && !strings.Contains(string(body), "larder_requests_total") {
			t.Error("the metrics do not hold larder_requests_total")
		}
	}
	if _, err := os.Stat(l.Dir + "/larder-data"); err != nil {
		t.Errorf("the default data folder: %v", err)
	}
}

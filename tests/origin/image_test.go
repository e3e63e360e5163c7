package origin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestPush_ServesTheExactBytes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content   remote.Taggable
		mediaType string
	}{
		"an OCI image":       {origin.RandomImage(2, 4096), ocispec.MediaTypeImageManifest},
		"a Docker image":     {origin.RandomDockerImage(1, 4096), "application/vnd.docker.distribution.manifest.v2+json"},
		"an OCI index":       {origin.RandomIndex(1, 4096, "linux/amd64", "linux/arm/v7"), ocispec.MediaTypeImageIndex},
		"a Docker list":      {origin.RandomDockerList(1, 4096, "linux/amd64"), "application/vnd.docker.distribution.manifest.list.v2+json"},
		"an index of nobody": {origin.RandomIndex(1, 4096), ocispec.MediaTypeImageIndex},
	} {
		for registry, opts := range map[string][]origin.Option{
			"distribution": nil, "on disk": {origin.OnDisk()}, "go-containerregistry": {origin.WithReferrers()},
		} {
			t.Run(name+" in "+registry, func(t *testing.T) {
				t.Parallel()
				o := origin.New(t, opts...)
				img := o.Push(t, "library/a:1", tc.content)
				checkServed(t, o, img, tc.mediaType)
				for _, child := range img.Manifests {
					checkServed(t, o, child, child.MediaType)
				}
			})
		}
	}
}

func checkServed(t *testing.T, o *origin.Origin, img origin.Image, mediaType string) {
	t.Helper()
	got := get(t, manifestURL(o, img))
	if diff := cmp.Diff(string(img.Body), string(got.body)); diff != "" {
		t.Errorf("manifest (-pushed +served):\n%s", diff)
	}
	if ct := got.Header.Get("Content-Type"); ct != mediaType {
		t.Errorf("media type %q, want %q", ct, mediaType)
	}
	if d := got.Header.Get("Docker-Content-Digest"); d != img.Digest.String() || digest.FromBytes(got.body) != img.Digest {
		t.Errorf("digest %s in the header, %s of the body, want %s", d, digest.FromBytes(got.body), img.Digest)
	}
	for _, blob := range img.Blobs {
		body := get(t, o.URL()+"/v2/"+img.Repository+"/blobs/"+blob.Digest.String()).body
		if digest.FromBytes(body) != blob.Digest || int64(len(body)) != blob.Size {
			t.Errorf("blob %s: %d bytes of digest %s", blob.Digest, len(body), digest.FromBytes(body))
		}
	}
}

func TestRandomImage_LayersHaveTheExactSize(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	for _, size := range []int64{origin.MinLayerSize, 4097, 1 << 20} {
		img := o.Push(t, "a", origin.RandomImage(2, size))
		for _, layer := range img.Blobs[1:] {
			if layer.Size != size {
				t.Errorf("layer of %d bytes, want %d", layer.Size, size)
			}
		}
	}
}

func TestPush_MovesATag(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	old := o.Push(t, "a:latest", origin.RandomImage(1, 4096))
	moved := o.Push(t, "a:latest", origin.RandomImage(1, 4096))
	if got := get(t, manifestURL(o, moved)).Header.Get("Docker-Content-Digest"); got != moved.Digest.String() {
		t.Errorf("the tag names %s, want %s", got, moved.Digest)
	}
	old.Tag = ""
	if got := get(t, manifestURL(o, old)); got.StatusCode != http.StatusOK {
		t.Errorf("the old revision by digest: %s", got.Status)
	}
}

func TestPush_WithoutATagIsByDigestAlone(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a", origin.RandomImage(1, 4096))
	if want := "a@" + img.Digest.String(); img.Name() != want {
		t.Errorf("name %s, want %s", img.Name(), want)
	}
	if got := get(t, manifestURL(o, img)); got.StatusCode != http.StatusOK {
		t.Errorf("by digest: %s", got.Status)
	}
	if got := get(t, o.URL()+"/v2/a/tags/list"); strings.Contains(string(got.body), "latest") {
		t.Errorf("there are tags: %s", got.body)
	}
}

func TestDelete_RemovesTagAndManifest(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]origin.Option{"distribution": nil, "go-containerregistry": {origin.WithReferrers()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, opts...)
			img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
			byDigest := img
			byDigest.Tag = ""
			o.Delete(t, img.Name())
			if got := get(t, manifestURL(o, img)); got.StatusCode != http.StatusNotFound {
				t.Errorf("the removed tag: %s", got.Status)
			}
			if got := get(t, manifestURL(o, byDigest)); got.StatusCode != http.StatusOK {
				t.Errorf("the manifest of a removed tag: %s", got.Status)
			}
			o.Delete(t, byDigest.Name())
			if got := get(t, manifestURL(o, byDigest)); got.StatusCode != http.StatusNotFound {
				t.Errorf("the removed manifest: %s", got.Status)
			}
		})
	}
}

func TestArtifact_IsListedAsReferrer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts []origin.Option
		path func(origin.Image) string
	}{
		"by the referrers API": {
			[]origin.Option{origin.WithReferrers()},
			func(img origin.Image) string { return "referrers/" + img.Digest.String() },
		},
		"under the fallback tag": {
			nil,
			func(img origin.Image) string { return "manifests/" + origin.ReferrersTag(img.Digest) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, tc.opts...)
			img := o.Push(t, "team/a:1", origin.RandomImage(1, 4096))
			sbom := o.Push(t, "team/a", origin.Artifact(img, "application/vnd.example.sbom"))
			got := get(t, o.URL()+"/v2/team/a/"+tc.path(img))
			var list ocispec.Index
			if err := json.Unmarshal(got.body, &list); err != nil {
				t.Fatalf("%s: %v in %s", got.Status, err, got.body)
			}
			if len(list.Manifests) != 1 || list.Manifests[0].Digest != sbom.Digest {
				t.Errorf("listed %v, want %s", list.Manifests, sbom.Digest)
			}
			var manifest ocispec.Manifest
			if err := json.Unmarshal(sbom.Body, &manifest); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(img.Digest, manifest.Subject.Digest); diff != "" {
				t.Errorf("subject:\n%s", diff)
			}
		})
	}
}

func TestSignatureTag_IsCosigns(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	sig := o.Push(t, "a:"+origin.SignatureTag(img.Digest), origin.RandomImage(1, 4096))
	want := o.URL() + "/v2/a/manifests/sha256-" + img.Digest.Encoded() + ".sig"
	if got := get(t, want).Header.Get("Docker-Content-Digest"); got != sig.Digest.String() {
		t.Errorf("signature %q, want %s", got, sig.Digest)
	}
}

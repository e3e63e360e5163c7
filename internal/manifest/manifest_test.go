package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// digestOf is the digest a, b … of a manifest in a test.
func digestOf(letter string) digest.Digest {
	return digest.Digest("sha256:" + strings.Repeat(letter, 64))
}

func TestParse_WhatItNames(t *testing.T) {
	t.Parallel()
	blob := func(letter string, size int64) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digestOf(letter), Size: size}
	}
	for _, test := range []struct {
		name, body string
		blobs      []ocispec.Descriptor
		digests    string
	}{
		{"An image's", `{"config":{"digest":"A","size":1},"layers":[{"digest":"B","size":2,"mediaType":"x"},{"digest":"C","size":3}]}`,
			[]ocispec.Descriptor{blob("a", 1), blob("b", 2), blob("c", 3)}, "abc"},
		{"A layer that is named twice", `{"layers":[{"digest":"A","size":1},{"digest":"A","size":1}]}`, []ocispec.Descriptor{blob("a", 1)}, "aa"},
		{"A foreign layer", `{"layers":[{"digest":"A","size":1,"urls":["https://elsewhere.example/a"]}]}`, nil, "a"},
		{"An artifact's of before OCI 1.1", `{"blobs":[{"digest":"A","size":1}]}`, []ocispec.Descriptor{blob("a", 1)}, "a"},
		{"An index's", `{"manifests":[{"digest":"A","size":1},{"digest":"B","size":2}]}`, nil, "ab"},
		{"Of Docker's schema 1", `{"fsLayers":[{"blobSum":"A"},{"blobSum":"B"}]}`, nil, "ab"},
		{"A subject", `{"subject":{"digest":"A","size":1}}`, nil, ""},
		{"What is no digest", `{"config":{"digest":"../../x"},"layers":[{"digest":"sha256:1"},{}]}`, nil, ""},
		{"Nothing", `{}`, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := test.body
			for _, letter := range []string{"a", "b", "c"} {
				body = strings.ReplaceAll(body, `"`+strings.ToUpper(letter)+`"`, `"`+digestOf(letter).String()+`"`)
			}
			m, err := Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.blobs, m.Blobs()); diff != "" {
				t.Errorf("blobs (-want +got):\n%s", diff)
			}
			var digests []digest.Digest
			for _, letter := range test.digests {
				digests = append(digests, digestOf(string(letter)))
			}
			if diff := cmp.Diff(digests, m.Digests()); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_RefusesWhatNamesNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>", `{"layers":5}`, `{"layers":[{"size":"1"}]}`, `[]`} {
		if m, err := Parse([]byte(body)); err == nil {
			t.Errorf("%q was read as %+v", body, m)
		}
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, want string }{
		{"Stated", `{"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}`, "application/vnd.docker.distribution.manifest.v2+json"},
		{"OCI index", `{"schemaVersion":2,"manifests":[]}`, ocispec.MediaTypeImageIndex},
		{"OCI manifest", `{"schemaVersion":2,"config":{}}`, ocispec.MediaTypeImageManifest},
		{"Docker schema 1", `{"schemaVersion":1}`, dockerV1},
		{"Not JSON", `<html>`, unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := MediaType([]byte(test.body)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Package manifest says what manifests and indexes name, of every kind that registries have: OCI's and Docker's, Docker's first ones, and
// those of artifacts before OCI 1.1. It reads bytes, and neither fetches, stores nor verifies any.
package manifest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// MaxSize is the largest manifest that is accepted, in bytes (distribution-spec: at least 4 MiB).
const MaxSize = 4 << 20

// Manifest is what a manifest or index names.
type Manifest struct {
	Manifests []ocispec.Descriptor `json:"manifests"` // of an index
	Config    ocispec.Descriptor   `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Artifacts []ocispec.Descriptor `json:"blobs"`    // of an artifact manifest, before OCI 1.1
	FSLayers  []fsLayer            `json:"fsLayers"` // of Docker's schema 1
	Subject   ocispec.Descriptor   `json:"subject"`  // to which it refers
}

type fsLayer struct {
	BlobSum digest.Digest `json:"blobSum"`
}

// Parse reads the bytes of a manifest.
func Parse(body []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("reading a manifest: %w", err)
	}
	return m, nil
}

// Blobs lists what an image needs of a manifest beside other manifests, each blob once, by digest and size. Layers that lie elsewhere by
// their nature (Windows' foreign layers) are not an image's to store.
func (m Manifest) Blobs() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, d := range m.parts() {
		if d.Digest.Validate() == nil && len(d.URLs) == 0 && !seen[d.Digest] {
			seen[d.Digest] = true
			all = append(all, ocispec.Descriptor{Digest: d.Digest, Size: d.Size})
		}
	}
	return all
}

// Digests lists all that a manifest names and that can be stored, but for its subject.
func (m Manifest) Digests() []digest.Digest {
	var all []digest.Digest
	add := func(dgst digest.Digest) {
		if _, err := imageref.ParseDigest(dgst.String()); err == nil {
			all = append(all, dgst)
		}
	}
	for _, d := range slices.Concat(m.Manifests, m.parts()) {
		add(d.Digest)
	}
	for _, d := range m.FSLayers {
		add(d.BlobSum)
	}
	return all
}

func (m Manifest) parts() []ocispec.Descriptor {
	return slices.Concat([]ocispec.Descriptor{m.Config}, m.Layers, m.Artifacts)
}

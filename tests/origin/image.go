package origin

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// MinLayerSize is the size of the smallest layer that RandomImage and its like can make.
const MinLayerSize = 2 << 10

// flavour is a family of media types.
type flavour struct {
	index, manifest, config, layer types.MediaType
}

var (
	oci = flavour{
		index: types.OCIImageIndex, manifest: types.OCIManifestSchema1,
		config: types.OCIConfigJSON, layer: types.OCIUncompressedLayer,
	}
	docker = flavour{
		index: types.DockerManifestList, manifest: types.DockerManifestSchema2,
		config: types.DockerConfigJSON, layer: types.DockerUncompressedLayer,
	}
)

// RandomImage makes an OCI image for linux/amd64 with that many layers of exactly size bytes, at least MinLayerSize. A layer is
// an uncompressed tar archive of one file with random content: a runtime can unpack it, and no two images share one.
func RandomImage(layers int, size int64) v1.Image { return oci.image("linux/amd64", layers, size) }

// RandomDockerImage is RandomImage with Docker's media types (image manifest version 2, schema 2).
func RandomDockerImage(layers int, size int64) v1.Image {
	return docker.image("linux/amd64", layers, size)
}

// RandomIndex makes an OCI index with a RandomImage for each platform ("linux/arm64", "linux/arm/v7").
func RandomIndex(layers int, size int64, platforms ...string) v1.ImageIndex {
	return oci.list(layers, size, platforms)
}

// RandomDockerList is RandomIndex with Docker's media types.
func RandomDockerList(layers int, size int64, platforms ...string) v1.ImageIndex {
	return docker.list(layers, size, platforms)
}

// Artifact makes an OCI artifact with one small blob that refers to subject: a signature or an SBOM, say.
func Artifact(subject Image, artifactType string) v1.Image {
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.MediaType(artifactType))
	blob := static.NewLayer([]byte(rand.Text()), types.MediaType(artifactType))
	return mutate.Subject(must(mutate.AppendLayers(base, blob)), v1.Descriptor{
		MediaType: types.MediaType(subject.MediaType),
		Size:      subject.Size,
		Digest:    must(v1.NewHash(subject.Digest.String())),
	}).(v1.Image)
}

// SignatureTag returns the tag under which cosign looks for the signature of dgst.
func SignatureTag(dgst digest.Digest) string { return ReferrersTag(dgst) + ".sig" }

// ReferrersTag returns the fallback tag that lists the referrers of dgst where there is no referrers API.
func ReferrersTag(dgst digest.Digest) string {
	return strings.Replace(dgst.String(), ":", "-", 1)
}

func (f flavour) image(platform string, layers int, size int64) v1.Image {
	p := must(v1.ParsePlatform(platform))
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, f.manifest), f.config)
	img = must(mutate.ConfigFile(img, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Labels: map[string]string{"unique": rand.Text()}},
	}))
	for range layers {
		img = must(mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(archive(size), f.layer)}))
	}
	return img
}

func (f flavour) list(layers int, size int64, platforms []string) v1.ImageIndex {
	idx := mutate.IndexMediaType(empty.Index, f.index)
	for _, platform := range platforms {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        f.image(platform, layers, size),
			Descriptor: v1.Descriptor{Platform: must(v1.ParsePlatform(platform))},
		})
	}
	return idx
}

// archive returns a tar archive of exactly size bytes. What follows its end marker counts as padding.
func archive(size int64) []byte {
	if size < MinLayerSize {
		panic(fmt.Sprintf("a layer of %d bytes is too small", size))
	}
	content := make([]byte, (size-1536)/512*512)
	rand.Read(content)
	var b bytes.Buffer
	b.Grow(int(size))
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: rand.Text(), Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a bytes.Buffer has no errors
	}
	return append(b.Bytes(), make([]byte, int(size)-b.Len())...)
}

// must is for what fails only where this package is wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

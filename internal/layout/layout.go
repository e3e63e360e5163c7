// Package layout reads and writes OCI image layouts: a folder, or the same as a tar stream. It knows the format alone, and neither where
// images come from nor where they go.
package layout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// annotationName is where containerd, and what reads its archives, look for an image's whole name.
	annotationName = "io.containerd.image.name"
	// maxIndex bounds index.json in bytes.
	maxIndex = 64 << 20
	blobs    = "blobs/"
)

// Named returns the entry of index.json for an image, under the names by which ctr and skopeo find it.
func Named(ref imageref.Reference, desc ocispec.Descriptor) ocispec.Descriptor {
	desc.Annotations = map[string]string{annotationName: ref.String(), ocispec.AnnotationRefName: ref.String()}
	return desc
}

var errName = errors.New("its entry in index.json has no whole name, such as docker.io/library/nginx:1.27, under " + annotationName)

// NameOf returns the image's name that an entry of index.json tells.
func NameOf(desc ocispec.Descriptor) (imageref.Reference, error) {
	for _, key := range []string{annotationName, ocispec.AnnotationRefName} {
		// A tag alone, as some tools write it, would be taken for a name at Docker Hub.
		name := desc.Annotations[key]
		if ref, err := imageref.Parse(name); err == nil && strings.Contains(name, "/") {
			return ref, nil
		}
	}
	return imageref.Reference{}, fmt.Errorf("image %s: %w", desc.Digest, errName)
}

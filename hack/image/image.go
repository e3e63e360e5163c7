package main

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image puts the layers of one platform together.
func (o buildOptions) image(cmd command, p v1.Platform, binary string) (v1.Image, error) {
	files, err := program(cmd, binary)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, part := range []struct {
		comment string
		entries []entry
	}{{"CA certificates, users, /tmp", base()}, {"/usr/bin/" + cmd.name, files}} {
		packed, err := layer(part.entries, o.created)
		if err != nil {
			return nil, err
		}
		history := v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "make image", Comment: part.comment}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: packed, History: history, MediaType: types.OCILayer}); err != nil {
			return nil, fmt.Errorf("adding a layer to %s: %w", cmd.name, err)
		}
	}
	return o.configure(img, cmd, p)
}

func (o buildOptions) configure(img v1.Image, cmd command, p v1.Platform) (v1.Image, error) {
	old, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the config of %s: %w", cmd.name, err)
	}
	config := old.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Created = v1.Time{Time: o.created}
	config.Config = v1.Config{
		User: user, Entrypoint: []string{"/usr/bin/" + cmd.name}, WorkingDir: "/", Labels: o.labels(cmd),
		Env: []string{"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
	}
	return mutate.ConfigFile(img, config)
}

// labels are the labels of the config and the annotations of the index.
func (o buildOptions) labels(cmd command) map[string]string {
	return map[string]string{
		ocispec.AnnotationTitle:    cmd.title,
		ocispec.AnnotationVersion:  o.version,
		ocispec.AnnotationCreated:  o.created.Format(time.RFC3339),
		ocispec.AnnotationLicenses: "Apache-2.0",
		ocispec.AnnotationSource:   "https://github.com/larder-dev/larder",
	}
}

// index puts the platforms of one command together.
func (o buildOptions) index(cmd command, built []platformImage) v1.ImageIndex {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range built {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: b.image, Descriptor: v1.Descriptor{Platform: &b.platform}})
	}
	return mutate.Annotations(idx, o.labels(cmd)).(v1.ImageIndex)
}

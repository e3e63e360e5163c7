package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation of a layout's entry by which containerd names what it imports.
const containerdName = "io.containerd.image.name"

// write writes the layout <out>/<name>, the same as <name>.tar, and each SBOM beside them.
func (o buildOptions) write(cmd command, idx v1.ImageIndex, built []platformImage) error {
	dir := filepath.Join(o.out, cmd.name)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	names := map[string]string{ocispec.AnnotationRefName: o.version, containerdName: o.prefix + "/" + cmd.name + ":" + o.version}
	if err := path.AppendIndex(idx, layout.WithAnnotations(names)); err != nil {
		return err
	}
	for _, b := range built {
		if err := attach(path, b); err != nil {
			return fmt.Errorf("attaching the SBOM for %s: %w", b.platform.String(), err)
		}
		file := filepath.Join(o.out, fmt.Sprintf("%s-%s-%s.cdx.json", cmd.name, b.platform.OS, b.platform.Architecture))
		if err := os.WriteFile(file, b.sbom, 0o644); err != nil {
			return err
		}
	}
	return pack(dir, dir+".tar", o)
}

// attach adds the SBOM to the layout, as an artifact whose subject is the platform's image.
func attach(path layout.Path, b platformImage) error {
	subject, err := partial.Descriptor(b.image)
	if err != nil {
		return err
	}
	config, err := writeBlob(path, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		return err
	}
	sbom, err := writeBlob(path, sbomType, b.sbom)
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: sbomType, Config: config, Layers: []v1.Descriptor{sbom},
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
	})
	if err != nil {
		return err
	}
	desc, err := writeBlob(path, string(types.OCIManifestSchema1), manifest)
	if err != nil {
		return err
	}
	desc.ArtifactType = sbomType
	return path.AppendDescriptor(desc)
}

func writeBlob(path layout.Path, mediaType string, content []byte) (v1.Descriptor, error) {
	dgst, size, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return v1.Descriptor{}, err
	}
	desc := v1.Descriptor{MediaType: types.MediaType(mediaType), Size: size, Digest: dgst}
	return desc, path.WriteBlob(dgst, io.NopCloser(bytes.NewReader(content)))
}

// pack writes the files of a layout as one archive, which containerd and others import.
func pack(dir, archive string, o buildOptions) (err error) {
	file, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	w := tar.NewWriter(file)
	names := []string{"oci-layout", "index.json"}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		return err
	}
	for _, blob := range blobs {
		names = append(names, "blobs/sha256/"+filepath.Base(blob))
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := (entry{name: name, mode: 0o644, content: content}).write(w, o.created); err != nil {
			return err
		}
	}
	return w.Close()
}

// Package content makes the images that are measured and checks what comes back of them. It lays them out as files under the
// paths of the distribution spec, so that a file server can be the peer of a registry. It never serves anything itself.
package content

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// ManifestType is the media type of every manifest that a Folder holds.
const ManifestType = "application/vnd.oci.image.manifest.v1+json"

const (
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

// Folder holds the files of one repository.
type Folder struct {
	Root       string // what a file server serves
	Repository string
}

// Blob is a file of random bytes.
type Blob struct {
	Digest string
	Size   int64
	File   string
}

// Image is a manifest with its blobs: the config first, then the layers.
type Image struct {
	Tag      string
	Digest   string
	Manifest []byte
	Blobs    []Blob
}

// New makes the folder of a repository below root.
func New(root, repository string) (*Folder, error) {
	f := &Folder{Root: root, Repository: repository}
	for _, kind := range []string{"blobs", "manifests"} {
		if err := os.MkdirAll(f.file(kind, ""), 0o755); err != nil {
			return nil, fmt.Errorf("making the folder of %s: %w", repository, err)
		}
	}
	return f, nil
}

func (f *Folder) file(kind, reference string) string {
	return filepath.Join(f.Root, "v2", f.Repository, kind, reference)
}

// AddImage makes an image with layers of those sizes, in bytes. Its tag, a symbolic link to the manifest, must be new.
func (f *Folder) AddImage(tag string, sizes ...int64) (Image, error) {
	img := Image{Tag: tag}
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"seed":%d}`, rand.Uint64())
	bodies := []io.Reader{strings.NewReader(config)}
	for _, size := range sizes {
		bodies = append(bodies, io.LimitReader(noise(), size))
	}
	for _, body := range bodies {
		blob, err := f.addBlob(body)
		if err != nil {
			return Image{}, fmt.Errorf("making image %s: %w", tag, err)
		}
		img.Blobs = append(img.Blobs, blob)
	}
	return img, f.addManifest(&img)
}

func (f *Folder) addBlob(body io.Reader) (Blob, error) {
	file, err := os.CreateTemp(f.Root, "blob-")
	if err != nil {
		return Blob{}, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, hash), body)
	if err != nil {
		return Blob{}, err
	}
	dgst := "sha256:" + hex.EncodeToString(hash.Sum(nil))
	blob := Blob{Digest: dgst, Size: size, File: f.file("blobs", dgst)}
	if err := errors.Join(file.Chmod(0o644), file.Sync()); err != nil { // synced: no write-back disturbs what is measured
		return Blob{}, err
	}
	return blob, os.Rename(file.Name(), blob.File)
}

func (f *Folder) addManifest(img *Image) error {
	body, err := json.Marshal(manifestOf(img.Blobs))
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	sum := sha256.Sum256(body)
	img.Manifest, img.Digest = body, "sha256:"+hex.EncodeToString(sum[:])
	if err := os.WriteFile(f.file("manifests", img.Digest), body, 0o644); err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	return os.Symlink(img.Digest, f.file("manifests", img.Tag))
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

func manifestOf(blobs []Blob) manifest {
	m := manifest{SchemaVersion: 2, MediaType: ManifestType, Layers: []descriptor{}}
	m.Config = descriptor{configType, blobs[0].Digest, blobs[0].Size}
	for _, b := range blobs[1:] {
		m.Layers = append(m.Layers, descriptor{layerType, b.Digest, b.Size})
	}
	return m
}

// noise is an endless stream of bytes that no two calls share.
func noise() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	return rand.NewChaCha8(seed)
}

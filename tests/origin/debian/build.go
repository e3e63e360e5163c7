package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/larder-dev/larder/tests/binary"
)

// ErrUnavailable means that this machine cannot build the image: not root, no debootstrap, no mirror within reach.
var ErrUnavailable = errors.New("the Debian test image cannot be built here")

// Options say what to build. The zero value will do inside Larder's module.
type Options struct {
	Dir     string // of the layout; empty: DefaultDir
	Command string // Go package of the binary in the last layer; empty: Larder's
	Rebuild bool   // also where the layout exists
	Log     func(format string, args ...any)
}

const (
	suite   = "bookworm"
	command = "github.com/larder-dev/larder/cmd/larder"
)

var architectures = []string{"amd64", "arm64"}

// DefaultDir returns $XDG_CACHE_HOME/larder/testimage, or its like in the user's cache folder.
func DefaultDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	return filepath.Join(cache, "larder", "testimage"), nil
}

// Load returns the image of the layout in dir ("": DefaultDir), or an error that is fs.ErrNotExist where it was not built.
func Load(dir string) (v1.ImageIndex, error) {
	dir, err := orDefault(dir)
	if err != nil {
		return nil, err
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("reading %s: %d images instead of one", dir, len(manifest.Manifests))
	}
	return root.ImageIndex(manifest.Manifests[0].Digest)
}

// Build makes the layout where it is missing and returns its folder. Processes that build at the same time wait for the first.
func Build(ctx context.Context, o Options) (string, error) {
	dir, err := orDefault(o.Dir)
	if err != nil {
		return "", err
	}
	if o.Command == "" {
		o.Command = command
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	unlock, err := binary.Lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := Load(dir); err == nil && !o.Rebuild {
		return dir, nil
	}
	return dir, build(ctx, dir, o)
}

func orDefault(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return DefaultDir()
}

// build works in a folder beside dir and renames at the end, so that dir is whole or not there.
func build(ctx context.Context, dir string, o Options) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-building-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	strap, err := findDebootstrap(ctx, o)
	if err != nil {
		return err
	}
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		img, err := buildImage(ctx, work, arch, strap, o)
		if err != nil {
			return fmt.Errorf("building for %s: %w", arch, err)
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	o.Log("writing %s", dir)
	made := filepath.Join(work, "layout")
	if _, err := layout.Write(made, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: idx})); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the old layout: %w", err)
	}
	return os.Rename(made, dir)
}

// buildImage makes one platform's image: the root without /usr, /usr, and the binary.
func buildImage(ctx context.Context, work, arch string, strap debootstrap, o Options) (v1.Image, error) {
	root := filepath.Join(work, "root-"+arch)
	if err := strap.run(ctx, arch, root, o); err != nil {
		return nil, err
	}
	bin := filepath.Join(work, "bin-"+arch)
	if err := compile(ctx, arch, filepath.Join(bin, "usr/local/bin/larder"), o); err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.ConfigFile(base, config(arch))
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		tree tree
	}{
		{"root", tree{root: root, skip: []string{"usr", "debootstrap", "proc", "sys", "dev"}}},
		{"usr", tree{root: root, only: "usr"}},
		{"larder", tree{root: bin}},
	} {
		o.Log("packing the %s layer for %s", part.name, arch)
		layer, err := part.tree.pack(filepath.Join(work, part.name+"-"+arch+".tar.gz"))
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", part.name, err)
		}
		add := mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: part.name}}
		if img, err = mutate.Append(img, add); err != nil {
			return nil, err
		}
	}
	return img, nil
}

func config(arch string) *v1.ConfigFile {
	return &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: epoch},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Entrypoint: []string{"/usr/local/bin/larder"},
		},
	}
}

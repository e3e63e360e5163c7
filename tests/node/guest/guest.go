// Package guest makes images whose containers really run. In each is one static program (see package program), and what else a test
// wants; no two versions share a layer, so that a pull of one fetches it whole.
package guest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Guest is the program, built.
type Guest struct{ program []byte }

// Build builds the program; dir is for its binary.
func Build(ctx context.Context, dir string) (*Guest, error) {
	binary := filepath.Join(dir, "guest")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", binary,
		"github.com/larder-dev/larder/tests/node/guest/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the guest program: %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return &Guest{program: program}, nil
}

// Image makes an image of the program that tells its version, and runs with args where a pod names none.
func (g *Guest) Image(version string, args ...string) v1.Image {
	return g.Large(version, 0, args...)
}

// Large is Image with so many random bytes more, in a layer of their own.
func (g *Guest) Large(version string, size int64, args ...string) v1.Image {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	layers := []v1.Layer{layer(map[string][]byte{"guest": g.program, "version": []byte(version)})}
	if size > 0 {
		random := make([]byte, size)
		_, _ = rand.Read(random)
		layers = append(layers, layer(map[string][]byte{"random": random}))
	}
	img = must(mutate.AppendLayers(img, layers...))
	config := must(img.ConfigFile()).DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/guest"}, Cmd: args, Env: []string{"PATH=/", "VERSION=" + version}}
	return must(mutate.ConfigFile(img, config))
}

// layer is a tar archive of files in the root folder.
func layer(files map[string][]byte) v1.Layer {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		check(w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Typeflag: tar.TypeReg}))
		must(w.Write(files[name]))
	}
	check(w.Close())
	return must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer)))
}

// must is for what cannot fail in memory.
func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

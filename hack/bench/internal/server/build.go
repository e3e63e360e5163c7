package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// registry is distribution's command.
const registry = "github.com/distribution/distribution/v3/cmd/registry"

// Build builds Larder from the tree and distribution from its module into dir, and looks for nginx.
func Build(ctx context.Context, dir string) (Binaries, error) {
	b, err := BuildLarder(ctx, dir)
	if err != nil {
		return Binaries{}, err
	}
	if b.Proxy, err = buildProxy(ctx, dir); err != nil {
		return Binaries{}, err
	}
	b.Distribution = filepath.Join(dir, "registry")
	if _, err := goCommand(ctx, "", "build", "-o", b.Distribution, registry); err != nil {
		return Binaries{}, err
	}
	b.Nginx, err = exec.LookPath("nginx")
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return Binaries{}, fmt.Errorf("looking for nginx: %w", err)
	}
	return b, nil
}

// BuildLarder builds Larder alone.
func BuildLarder(ctx context.Context, dir string) (Binaries, error) {
	self, err := os.Executable()
	if err != nil {
		return Binaries{}, fmt.Errorf("finding the benchmark itself: %w", err)
	}
	root, err := Root(ctx)
	if err != nil {
		return Binaries{}, err
	}
	b := Binaries{Larder: filepath.Join(dir, "larder"), Self: self}
	_, err = goCommand(ctx, root, "build", "-o", b.Larder, "./cmd/larder")
	return b, err
}

// buildProxy builds larder-proxy, stripped as a release is: its size is measured.
func buildProxy(ctx context.Context, dir string) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "larder-proxy")
	_, err = goCommand(ctx, root, "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./cmd/larder-proxy")
	return file, err
}

// Root returns the folder of Larder's module.
func Root(ctx context.Context) (string, error) {
	module, err := goCommand(ctx, "", "env", "GOMOD")
	return filepath.Join(filepath.Dir(module), "../.."), err
}

// Version returns which release of distribution is measured.
func Version(ctx context.Context) (string, error) {
	return goCommand(ctx, "", "list", "-m", "-f", "{{.Version}}", "github.com/distribution/distribution/v3")
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

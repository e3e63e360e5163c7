package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compile builds the static binary of a command in dir and returns its path.
func (o buildOptions) compile(ctx context.Context, cmd command, p v1.Platform, dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(o.source, cmd.pkg)); err != nil {
		return "", fmt.Errorf("there is nothing to build %s from: %w", cmd.name, err)
	}
	binary := filepath.Join(dir, cmd.name+"-"+p.Architecture)
	args := []string{"build", "-buildvcs=false", "-trimpath", "-ldflags", o.ldflags, "-o", binary, cmd.pkg}
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = o.source
	// What else the environment says about code would end up in the digest.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s for %s: %w\n%s", cmd.name, p.String(), err, strings.TrimSpace(string(said)))
	}
	return binary, nil
}

package debian

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// debootstrap is the program and the mirror that it is to use.
type debootstrap struct {
	path, mirror string
}

// findDebootstrap installs it where it is missing and apt-get can.
func findDebootstrap(ctx context.Context, o Options) (debootstrap, error) {
	if os.Geteuid() != 0 {
		return debootstrap{}, fmt.Errorf("%w: debootstrap needs root", ErrUnavailable)
	}
	mirror := aptMirror(os.DirFS("/etc/apt"), suite)
	if path, err := exec.LookPath("debootstrap"); err == nil {
		return debootstrap{path: path, mirror: mirror}, nil
	}
	o.Log("installing debootstrap")
	for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", "debootstrap"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := run(cmd); err != nil {
			return debootstrap{}, fmt.Errorf("%w: installing debootstrap: %w", ErrUnavailable, err)
		}
	}
	path, err := exec.LookPath("debootstrap")
	if err != nil {
		return debootstrap{}, fmt.Errorf("%w: finding debootstrap: %w", ErrUnavailable, err)
	}
	return debootstrap{path: path, mirror: mirror}, nil
}

// run makes the root file system of arch in root. A foreign architecture's is unpacked and not configured.
func (d debootstrap) run(ctx context.Context, arch, root string, o Options) error {
	args := []string{"--variant=minbase", "--arch=" + arch}
	if arch != runtime.GOARCH {
		args = append(args, "--foreign")
	}
	o.Log("unpacking Debian %s for %s from %s", suite, arch, d.mirror)
	if err := run(exec.CommandContext(ctx, d.path, append(args, suite, root, d.mirror)...)); err != nil {
		return fmt.Errorf("%w: running debootstrap: %w", ErrUnavailable, err)
	}
	return forget(root)
}

// forget removes what is of the building machine, or only of use to apt.
func forget(root string) error {
	for _, pattern := range []string{
		"etc/resolv.conf", "etc/hostname", "etc/machine-id", "etc/*-", "var/log/*", "var/cache/apt/*", "var/cache/ldconfig/*",
		"var/lib/apt/lists/*", "etc/apt/sources.list",
	} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("cleaning: %w", err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("cleaning: %w", err)
			}
		}
	}
	return nil
}

// compile builds the static binary for arch.
func compile(ctx context.Context, arch, path string, o Options) error {
	o.Log("compiling %s for %s", o.Command, arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, o.Command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if err := run(cmd); err != nil {
		return fmt.Errorf("compiling %s: %w", o.Command, err)
	}
	return nil
}

// run returns the end of the command's output with its error.
func run(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(output[max(0, len(output)-1000):]))
}

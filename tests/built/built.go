// Package built builds the programs that tests run besides Larder's own: once for a machine, into the user's cache folder. A program is
// pinned by a module of its own under hack.
package built

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Program is what to build.
type Program struct {
	Name    string   // of the binary
	Module  string   // the folder under hack that pins it
	Package string   // what is built there
	Sources []string // files of the module, besides go.mod and go.sum, that the binary is made from
	LDFlags []string // besides -s -w
	Links   []string // further names of the binary
}

// Folder returns the folder that holds the program, and builds it where it is missing. That takes minutes on a machine that never did; log
// tells of it. Processes that build at the same time wait for the first.
func (p Program) Folder(ctx context.Context, log func(format string, args ...any)) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "hack", p.Module)
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	sum, err := p.fingerprint(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "larder", p.Name+"-"+sum)
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	log("building %s into %s", p.Name, dir)
	return dir, p.build(ctx, source, dir)
}

// Root is the folder of Larder's module.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/larder-dev/larder").Output()
	if err != nil {
		return "", fmt.Errorf("finding Larder's module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// fingerprint changes with what the binary is made from.
func (p Program) fingerprint(source string) (string, error) {
	hash := sha256.New()
	for _, file := range append([]string{"go.mod", "go.sum"}, p.Sources...) {
		content, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", fmt.Errorf("reading what %s is built from: %w", p.Name, err)
		}
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}

func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("making the cache folder: %w", err)
	}
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return func() { f.Close() }, nil
}

// build works in a folder beside dir and renames at the end, so that dir is whole or not there.
func (p Program) build(ctx context.Context, source, dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-building-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	flags := strings.Join(append([]string{"-s", "-w"}, p.LDFlags...), " ")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", filepath.Join(work, p.Name), p.Package)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.Name, err, out)
	}
	for _, name := range p.Links {
		if err := os.Symlink(p.Name, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	return os.Rename(work, dir)
}

package binary

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

// Build returns the folder with the set's programs, and builds them where they are missing. That takes minutes on a machine that never
// did; log tells of it.
func (s Set) Build(ctx context.Context, log func(format string, args ...any)) (string, error) {
	source, err := Source(ctx)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	sum, err := s.fingerprint(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "larder", s.name+"-"+sum)
	unlock, err := Lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	log("building %s into %s", s.what, dir)
	return dir, s.build(ctx, filepath.Join(source, s.module), dir)
}

// Tool returns the path of a tool that go.tools.mod pins, which Go builds and caches.
func Tool(ctx context.Context, name string) (string, error) {
	source, err := Source(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=go.tools.mod", "-n", name)
	cmd.Dir = filepath.Join(source, "..", "..")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, &complaints)
	}
	return strings.TrimSpace(string(out)), nil
}

// Source is the folder of the modules that sets are built from, hack/devcluster.
func Source(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/larder-dev/larder").Output()
	if err != nil {
		return "", fmt.Errorf("finding Larder's module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "hack", "devcluster"), nil
}

// fingerprint changes with what the programs are made from.
func (s Set) fingerprint(source string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, s.command(""), s.links)
	for _, file := range s.files() {
		content, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", fmt.Errorf("reading what %s is built from: %w", s.what, err)
		}
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}

// Lock waits until no other process makes dir, and has them wait until unlock is called.
func Lock(dir string) (unlock func(), err error) {
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
func (s Set) build(ctx context.Context, module, dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-building-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	cmd := exec.CommandContext(ctx, "go", s.command(work)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", s.what, err, out)
	}
	for program, names := range s.links {
		for _, name := range names {
			if err := os.Symlink(program, filepath.Join(work, name)); err != nil {
				return err
			}
		}
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	return os.Rename(work, dir)
}

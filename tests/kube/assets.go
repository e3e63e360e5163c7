package kube

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

// release is the version of Kubernetes that hack/devcluster/go.mod pins.
const release = "1.36.3"

var names = []string{"etcd", "kube-apiserver", "kubectl"}

// Assets returns a folder with etcd, kube-apiserver and kubectl, and builds it where it is missing. That takes minutes on a machine that
// never did; log tells of it. Processes that build at the same time wait for the first.
func Assets(ctx context.Context, log func(format string, args ...any)) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	source, err := moduleFolder(ctx)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	sum, err := fingerprint(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "larder", "envbin-"+sum)
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	log("building etcd, kube-apiserver and kubectl %s into %s", release, dir)
	return dir, build(ctx, source, dir)
}

// moduleFolder is the folder of hack/devcluster.
func moduleFolder(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/larder-dev/larder").Output()
	if err != nil {
		return "", fmt.Errorf("finding Larder's module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "hack", "devcluster"), nil
}

// fingerprint changes with what the binaries are made from.
func fingerprint(source string) (string, error) {
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum", "envbin/main.go"} {
		content, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", fmt.Errorf("reading what etcd and kube-apiserver are built from: %w", err)
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
func build(ctx context.Context, source, dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-building-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	const server, client = "k8s.io/component-base/version.", "k8s.io/client-go/pkg/version."
	minor := strings.Split(release, ".")[1]
	flags := []string{"-s", "-w", "-X", server + "gitVersion=v" + release, "-X", server + "gitMajor=1", "-X", server + "gitMinor=" + minor,
		"-X", client + "gitVersion=v" + release}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", strings.Join(flags, " "), "-o", filepath.Join(work, "envbin"), "./envbin")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building etcd and kube-apiserver: %w\n%s", err, out)
	}
	for _, name := range names {
		if err := os.Symlink("envbin", filepath.Join(work, name)); err != nil {
			return err
		}
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	return os.Rename(work, dir)
}

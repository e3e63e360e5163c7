// Package release installs Larder on a node of package node as a user does: its images are built and loaded, a volume is there, and Helm
// installs the chart. It knows nothing of what Larder does then.
package release

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/larder-dev/larder/tests/binary"
	"github.com/larder-dev/larder/tests/node"
)

const (
	// Namespace is Larder's own.
	Namespace = "larder-system"

	prefix  = "larder.test" // of the images' names
	version = "e2e"
)

// Release is Larder on a node.
type Release struct {
	node   *node.Node
	root   string // the repository
	values string // file
}

// New prepares a node: it builds Larder's images, gives them to the node, and makes the volume that a storage class would make. origins
// are the URLs, by host, of registries that no DNS knows.
func New(ctx context.Context, n *node.Node, origins map[string]string) (*Release, error) {
	source, err := binary.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := &Release{node: n, root: filepath.Join(source, "..", ".."), values: filepath.Join(n.Dir, "values.yaml")}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	if err := r.provideVolume(ctx); err != nil {
		return nil, err
	}
	return r, os.WriteFile(r.values, []byte(values(origins)), 0o600)
}

// Chart is the folder of the chart.
func (r *Release) Chart() string { return filepath.Join(r.root, "helm", "larder") }

// Install installs a chart, or upgrades to it, and waits until all of it runs. settings are what helm's --set takes.
func (r *Release) Install(ctx context.Context, chart string, settings ...string) error {
	args := []string{"upgrade", "--install", "larder", chart, "--namespace", Namespace, "--create-namespace", "--values", r.values, "--wait", "--timeout=5m"}
	for _, setting := range settings {
		args = append(args, "--set", setting)
	}
	if _, err := r.node.Helm(ctx, args...); err != nil {
		return err
	}
	return r.RolledOut(ctx)
}

// RolledOut waits until every workload is as the API server says it is to be.
func (r *Release) RolledOut(ctx context.Context) error {
	for _, workload := range []string{"deployment/larder-controller", "statefulset/larder-registry", "daemonset/larder-proxy"} {
		if _, err := r.node.Kubectl(ctx, "rollout", "status", "--namespace", Namespace, workload, "--timeout=180s"); err != nil {
			return err
		}
	}
	return nil
}

// load does what make image and make image-load do, for this machine alone.
func (r *Release) load(ctx context.Context) error {
	out, err := os.MkdirTemp(r.node.Dir, "images")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/image", "-here", "-version", version, "-prefix", prefix, "-out", out, "-ldflags", "-s -w")
	cmd.Dir = r.root
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Larder's images: %w\n%s", err, said)
	}
	for _, name := range []string{"larder", "larder-proxy"} {
		if err := r.node.LoadArchive(ctx, filepath.Join(out, name+".tar")); err != nil {
			return err
		}
	}
	return nil
}

func (r *Release) provideVolume(ctx context.Context) error {
	folder := filepath.Join(r.node.Dir, "volume")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.Chown(folder, 65532, 65532); err != nil { // fsGroup does not hold for folders of the host
		return err
	}
	return r.node.Apply(ctx, strings.ReplaceAll(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: larder}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: FOLDER}
`, "FOLDER", folder))
}

// values are what the node needs beside the chart's defaults.
func values(origins map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "image: {registry: %s, tag: %s}\nregistry: {persistence: {size: 1Gi}}\nconfig:\n  registries:\n", prefix, version)
	for _, host := range slices.Sorted(maps.Keys(origins)) {
		fmt.Fprintf(&b, "  - {host: %s, endpoints: ['%s']}\n", host, origins[host])
	}
	return b.String()
}

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dump writes what a person needs who asks why a test failed into folder: the logs of processes and containers, and the objects and
// events of the API server, each as a file. It writes what it can get, and returns the errors of the rest.
func (n *Node) Dump(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("dumping a node: %w", err)
	}
	problems := errors.Join(
		copyFiles(n.Logs, filepath.Join(folder, "processes")),
		copyFiles(n.path("pod-logs"), filepath.Join(folder, "containers")),
		copyFiles(n.CertsDir, filepath.Join(folder, "certs.d")),
	)
	for file, args := range map[string][]string{
		"objects.txt":   {"get", "all,configmaps,endpointslices", "--all-namespaces", "--output", "wide"},
		"pods.txt":      {"describe", "pods", "--all-namespaces"},
		"node.txt":      {"describe", "nodes"},
		"events.txt":    {"get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp", "--output", "wide"},
		"resources.txt": {"get", "customresourcedefinitions", "--output", "name"},
	} {
		problems = errors.Join(problems, n.dump(ctx, filepath.Join(folder, file), n.Kubectl, args))
	}
	for file, args := range map[string][]string{"images.txt": {"images", "--digests"}, "sandboxes.txt": {"pods"}, "containers.txt": {"ps", "--all"}} {
		problems = errors.Join(problems, n.dump(ctx, filepath.Join(folder, file), n.Crictl, args))
	}
	return problems
}

func (*Node) dump(ctx context.Context, file string, run func(context.Context, ...string) (string, error), args []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := run(ctx, args...)
	return errors.Join(err, os.WriteFile(file, []byte(out), 0o644))
}

// copyFiles copies a folder's files as they are now; some are written still.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		return errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, content, 0o644))
	})
}

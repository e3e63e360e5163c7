package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

type mount struct{ path, kind string }

// mounts are those of this machine, in the order in which they were made.
func mounts() ([]mount, error) {
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	var found []mount
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			found = append(found, mount{path: fields[1], kind: fields[2]})
		}
	}
	return found, nil
}

// unmountAll unmounts what is mounted in the node's folder, the latest first.
func unmountAll(ctx context.Context) error {
	all, err := mounts()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) {
		if !strings.HasPrefix(m.path, dir+"/") {
			continue
		}
		if execute(ctx, "umount", m.path) == nil {
			continue
		}
		if err := execute(ctx, "umount", "--lazy", m.path); err != nil {
			return err
		}
	}
	return nil
}

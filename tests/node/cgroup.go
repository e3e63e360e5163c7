package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// cgroups returns the folders of the node's cgroup, one in each hierarchy.
func cgroups() ([]string, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, m := range all {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			folders = append(folders, filepath.Join(m.path, cgroup))
		}
	}
	return folders, nil
}

// makeCgroups makes the cgroup that is the root of all pods'.
func makeCgroups() error {
	folders, err := cgroups()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		// In version 2 a cgroup has the controllers that the one above it gives. Which there are differs by machine.
		for _, controller := range []string{"cpu", "cpuset", "io", "memory", "pids", "hugetlb"} {
			if control := filepath.Join(filepath.Dir(folder), "cgroup.subtree_control"); exists(control) {
				_ = os.WriteFile(control, []byte("+"+controller), 0o644)
			}
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			return fmt.Errorf("%w: making a cgroup: %w", ErrCannotRun, err)
		}
	}
	return nil
}

func removeCgroups() error {
	folders, err := cgroups()
	if err != nil {
		return err
	}
	for _, root := range folders {
		var inner []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				inner = append(inner, path)
			}
			return nil
		})
		for _, folder := range slices.Backward(inner) {
			if err := removeCgroup(folder); err != nil {
				return fmt.Errorf("removing a cgroup: %w", err)
			}
		}
	}
	return nil
}

// removeCgroup waits for the last process, which may be dead and not collected.
func removeCgroup(folder string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := os.Remove(folder)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

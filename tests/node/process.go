package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killAll kills the containers, their shims, and whatever process of the cluster is left, until none is.
func killAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pids, err := processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("killing processes %v: %w", pids, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// processes lists the processes in the node's cgroups, and those of our programs that work in its folder. A process that is dead but not
// collected is not among them.
func processes() ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, file := range files {
		folder := filepath.Dir(file)
		line, _ := os.ReadFile(file) // empty: it is dead, or the kernel's
		groups, _ := os.ReadFile(filepath.Join(folder, "cgroup"))
		program, _, _ := strings.Cut(string(line), "\x00")
		ours := strings.Contains(string(groups), ":/"+cgroup+"/") || slices.Contains(programs, filepath.Base(program)) && strings.Contains(string(line), dir+"/")
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil && ours && len(line) > 0 {
			found = append(found, pid)
		}
	}
	return found, nil
}

var programs = []string{
	"containerd", "containerd-shim-runc-v2", "runc", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns",
}

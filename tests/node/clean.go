package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tables are those that kube-proxy and the CNI plugins make.
var tables = []string{"ip kube-proxy", "ip6 kube-proxy", "inet cni_hostport", "inet cni_plugins_masquerade"}

// foreign are folders that kubelet, libcni and containerd make wherever they are told to live. Those that are empty go, innermost first.
var foreign = []string{
	"/var/log/containers", "/var/log/pods", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet/pod-resources", "/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins_registry",
	"/var/lib/kubelet", "/var/lib/cni/results", "/var/lib/cni/networks", "/var/lib/cni", "/run/containerd/runc/*", "/run/containerd/*", "/run/containerd",
	"/run/netns", "/opt/cni/bin", "/opt/cni", "/opt/containerd", "/etc/cni/net.d", "/etc/cni",
}

const results = "/var/lib/cni/results/"

// clean removes all that a node leaves on the machine, whether its processes run still or not. Where no node was it does nothing.
func clean(ctx context.Context) error {
	if !exists(dir) {
		return nil
	}
	if err := killAll(ctx); err != nil {
		return err
	}
	if err := unmountAll(ctx); err != nil {
		return err
	}
	if exists("/sys/class/net/" + bridge) {
		if err := execute(ctx, "ip", "link", "del", bridge); err != nil {
			return err
		}
	}
	for _, table := range tables {
		// Most were never made.
		_ = execute(ctx, "nft", append([]string{"delete", "table"}, strings.Fields(table)...)...)
	}
	if err := removeCgroups(); err != nil {
		return err
	}
	if exists(filepath.Join(dir, "sysctl.before")) {
		// One that another namespace owns cannot be set, and was not changed.
		_ = exec.CommandContext(ctx, "sysctl", "--quiet", "--load", filepath.Join(dir, "sysctl.before")).Run()
	}
	removeForeign()
	return os.RemoveAll(dir)
}

func removeForeign() {
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			_ = os.Remove(link)
		}
	}
	// libcni remembers the network of each pod, the loopback of which bears a name of its own.
	pods, _ := filepath.Glob(results + network + "-*-eth0")
	for _, pod := range pods {
		_ = os.Remove(pod)
		id := strings.TrimSuffix(strings.TrimPrefix(pod, results+network+"-"), "-eth0")
		_ = os.Remove(results + "cni-loopback-" + id + "-lo")
	}
	_ = os.Remove("/var/lib/kubelet/device-plugins/kubelet.sock")
	for _, pattern := range foreign {
		folders, _ := filepath.Glob(pattern)
		for _, folder := range folders {
			_ = syscall.Rmdir(folder) // it stays where it is not empty
		}
	}
}

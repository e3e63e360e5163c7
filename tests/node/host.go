package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// sysctls are those that kubelet, kube-proxy and the bridge plugin set.
var sysctls = []string{
	"vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops", "net.ipv4.ip_forward", "net.ipv4.conf.all.route_localnet",
	"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_tcp_timeout_established", "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
	"net.netfilter.nf_conntrack_tcp_be_liberal",
}

// prepareHost makes what processes of the cluster expect of a host, and remembers what they change.
func (n *Node) prepareHost(ctx context.Context) error {
	// The machine may lack some of them.
	before, _ := exec.CommandContext(ctx, "sysctl", append([]string{"--ignore"}, sysctls...)...).Output()
	if err := n.write("sysctl.before", string(before)); err != nil {
		return err
	}
	for _, args := range []string{"link add " + bridge + " type bridge", "addr add " + IP + "/16 dev " + bridge, "link set " + bridge + " up"} {
		if err := execute(ctx, "ip", strings.Fields(args)...); err != nil {
			return fmt.Errorf("%w: making a bridge: %w", ErrCannotRun, err)
		}
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	return n.ports.choose()
}

func execute(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// exists says whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

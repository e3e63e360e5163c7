package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/binary"
)

// The names and addresses of the one node that a machine has.
const (
	Name = "node1"      // of the node
	IP   = "10.214.0.1" // of the node, and of the cluster's DNS

	bridge     = "larder0"
	network    = "larder" // of CNI
	podRange   = "10.214.0.0/16"
	serviceIPs = "10.215.0.0/16"
	apiService = "10.215.0.1" // of the Service kubernetes
	cgroup     = "larder-node"
)

// dir is where a node lives. It is short, for the sake of sockets, and on a disk.
const dir = "/var/lib/larder-node"

// Options say how a node is started. The zero value will do.
type Options struct {
	// Log tells of what takes long. The default is silence.
	Log func(format string, args ...any)
}

// Node is a running cluster of one node.
type Node struct {
	client.Client        // an administrator's, without a cache
	Dir           string // of all files
	Logs          string // of the processes' logs, a file for each
	CertsDir      string // containerd's certs.d
	Kubeconfig    string // an administrator's

	tools   tools
	ports   ports
	daemons map[string]*daemon
	release func() // the lock
	web     *http.Client
}

// Start starts the cluster, and returns when the node is ready, names resolve and pods can be made. Building what is missing takes
// minutes, the rest about ten seconds. The error is ErrCannotRun where this machine cannot do it.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if err := check(); err != nil {
		return nil, err
	}
	tools, err := build(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	release, err := take(ctx)
	if err != nil {
		return nil, err
	}
	n := &Node{
		Dir: dir, Logs: filepath.Join(dir, "logs"), CertsDir: filepath.Join(dir, "certs.d"), Kubeconfig: filepath.Join(dir, "admin.kubeconfig"),
		tools: tools, daemons: map[string]*daemon{}, release: release,
	}
	began := time.Now()
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
	}
	o.Log("node %s is ready after %v", Name, time.Since(began).Round(100*time.Millisecond))
	return n, nil
}

// tools are the folders of the programs.
type tools struct{ cluster, runtime string }

func build(ctx context.Context, log func(string, ...any)) (t tools, err error) {
	if t.cluster, err = binary.Cluster.Build(ctx, log); err != nil {
		return t, err
	}
	t.runtime, err = binary.Runtime.Build(ctx, log)
	return t, err
}

func (n *Node) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		n.prepareHost, n.startRuntime, n.startControlPlane, n.loadPause, n.startAgents, n.awaitReady,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("starting a node: %w", err)
		}
	}
	return nil
}

// Stop ends all containers and processes, and removes what they made. It may be called again.
func (n *Node) Stop(ctx context.Context) error {
	if n.release == nil {
		return nil
	}
	n.stop("kubelet", "kube-controller-manager", "kube-scheduler")
	// What this does not manage, clean does with more force.
	if n.running("containerd") {
		_, _ = n.Crictl(ctx, "rmp", "--force", "--all")
	}
	n.stop("kube-proxy", "coredns", "kube-apiserver", "etcd", "containerd")
	err := clean(ctx)
	n.release()
	n.release = nil
	return err
}

func (n *Node) path(name string) string { return filepath.Join(n.Dir, name) }

func (n *Node) write(name, content string) error {
	path := n.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

// filler returns the values of what configurations name: more, and what most of them need.
func (n *Node) filler(more map[string]string) func(string) string {
	values := map[string]string{
		"DIR": n.Dir, "NAME": Name, "IP": IP, "PODS": podRange, "BRIDGE": bridge, "NETWORK": network, "CGROUP": cgroup, "PAUSE": pause, "KUBECONFIG": n.Kubeconfig,
	}
	maps.Copy(values, more)
	return func(name string) string { return values[name] }
}

package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/larder-dev/larder/tests/binary"
)

// Kubectl runs kubectl as an administrator and returns its standard output; the error has what it said beside.
func (n *Node) Kubectl(ctx context.Context, args ...string) (string, error) {
	return n.command(ctx, nil, n.kubectl(), args...)
}

// Apply gives manifests in YAML to kubectl apply.
func (n *Node) Apply(ctx context.Context, manifests string) error {
	_, err := n.command(ctx, strings.NewReader(manifests), n.kubectl(), "apply", "--filename", "-")
	return err
}

// Helm runs the helm of go.tools.mod as Kubectl does kubectl.
func (n *Node) Helm(ctx context.Context, args ...string) (string, error) {
	helm, err := binary.Tool(ctx, "helm")
	if err != nil {
		return "", err
	}
	return n.command(ctx, nil, helm, args...)
}

// Crictl runs crictl on the node's containerd.
func (n *Node) Crictl(ctx context.Context, args ...string) (string, error) {
	return n.command(ctx, nil, filepath.Join(n.tools.runtime, "crictl"), args...)
}

func (n *Node) kubectl() string { return filepath.Join(n.tools.cluster, "kubectl") }

func (n *Node) command(ctx context.Context, in io.Reader, program string, args ...string) (string, error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = in, &out, &complaints, n.environment(), n.Dir
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("running %s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, &complaints)
	}
	return out.String(), nil
}

// Environment are the variables with which a person finds kubectl and crictl, and they and helm the cluster.
func (n *Node) Environment() []string {
	path := strings.Join([]string{n.tools.cluster, n.tools.runtime, os.Getenv("PATH")}, string(filepath.ListSeparator))
	return []string{"PATH=" + path, "KUBECONFIG=" + n.Kubeconfig, "CRI_CONFIG_FILE=" + n.path("crictl.yaml")}
}

// environment keeps the programs' own files in the node's folder.
func (n *Node) environment() []string {
	return append(os.Environ(), append(n.Environment(), "HOME="+n.path("home"), "KUBECACHEDIR="+n.path("kubectl"),
		"HELM_CACHE_HOME="+n.path("helm/cache"), "HELM_CONFIG_HOME="+n.path("helm/config"), "HELM_DATA_HOME="+n.path("helm/data"))...)
}

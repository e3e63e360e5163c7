package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/larder-dev/larder/tests/node/guest"
)

// pause is the image of the process that holds a pod's namespaces.
const pause = "node.test/pause:1"

// runtimeConfig is containerd's. Without the right to make processes less likely victims of a full memory, runc would fail
// (restrict_oom_score_adj).
const runtimeConfig = `version = 3
root = '${DIR}/containerd/root'
state = '${DIR}/containerd/state'

[grpc]
  address = '${DIR}/containerd/containerd.sock'
[ttrpc]
  address = '${DIR}/containerd/containerd.sock.ttrpc'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '${PAUSE}'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '${DIR}/certs.d'

[plugins.'io.containerd.transfer.v1.local']
  config_path = '${DIR}/certs.d'

[plugins.'io.containerd.cri.v1.runtime']
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = '${RUNC}'
        Root = '${DIR}/containerd/runc'
        SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['${BIN}']
    conf_dir = '${DIR}/cni'

[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.internal.v1.opt']
  path = '${DIR}/containerd/opt'
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = '${DIR}/containerd/s'
`

// networkConfig gives pods an address of the bridge. What they send to the world goes out under the machine's own.
const networkConfig = `{
  "cniVersion": "1.0.0",
  "name": "${NETWORK}",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "${BRIDGE}",
      "isGateway": true,
      "isDefaultGateway": true,
      "ipMasq": true,
      "ipMasqBackend": "nftables",
      "hairpinMode": true,
      "ipam": {"type": "host-local", "dataDir": "${DIR}/cni-ipam", "ranges": [[{"subnet": "${PODS}", "gateway": "${IP}"}]]}
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}
  ]
}
`

const crictlConfig = `runtime-endpoint: unix://${DIR}/containerd/containerd.sock
image-endpoint: unix://${DIR}/containerd/containerd.sock
timeout: 20
`

func (n *Node) startRuntime(context.Context) error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	fill := n.filler(map[string]string{"RUNC": runc, "BIN": n.tools.runtime})
	if err := n.write("containerd/config.toml", os.Expand(runtimeConfig, fill)); err != nil {
		return err
	}
	if err := n.write("cni/10-larder.conflist", os.Expand(networkConfig, fill)); err != nil {
		return err
	}
	if err := n.write("crictl.yaml", os.Expand(crictlConfig, fill)); err != nil {
		return err
	}
	return n.run(n.tools.runtime, "containerd", "--config", n.path("containerd/config.toml"))
}

func (n *Node) socket() string { return n.path("containerd/containerd.sock") }

// loadPause waits for containerd, too.
func (n *Node) loadPause(ctx context.Context) error {
	g, err := guest.Build(ctx, n.path("guest"))
	if err != nil {
		return err
	}
	err = n.await(ctx, "containerd", func(ctx context.Context) error {
		_, err := n.Crictl(ctx, "version")
		return err
	})
	if err != nil {
		return err
	}
	return n.LoadImage(ctx, pause, g.Image("pause", "pause"))
}

// LoadImage gives the node an image without a pull.
func (n *Node) LoadImage(ctx context.Context, reference string, img v1.Image) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("loading an image: %w", err)
	}
	archive := n.path("load.tar")
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		return fmt.Errorf("packing %s: %w", reference, err)
	}
	return n.LoadArchive(ctx, archive)
}

// LoadArchive gives the node the images of a tar file, as Docker or OCI write it.
func (n *Node) LoadArchive(ctx context.Context, file string) error {
	_, err := n.command(ctx, nil, filepath.Join(n.tools.runtime, "ctr"), "--address", n.socket(), "--namespace", "k8s.io", "images", "import", file)
	return err
}

// RemoveImage takes the node's copy of an image, with the dead containers that hold it, and all layers that no other image has.
func (n *Node) RemoveImage(ctx context.Context, reference string) error {
	dead, err := n.Crictl(ctx, "ps", "--all", "--state", "exited", "--image", reference, "--quiet")
	if err != nil {
		return err
	}
	if ids := strings.Fields(dead); len(ids) > 0 {
		if _, err := n.Crictl(ctx, append([]string{"rm"}, ids...)...); err != nil {
			return err
		}
	}
	_, err = n.Crictl(ctx, "rmi", reference)
	return err
}

// WriteHosts tells containerd where to pull the images of a host from: the mirrors (URLs) in their order, then server. An empty server
// is the host itself. The host "_default" stands for all that have no hosts.toml of their own.
func (n *Node) WriteHosts(host, server string, mirrors ...string) error {
	var toml strings.Builder
	if server != "" {
		fmt.Fprintf(&toml, "server = %q\n", server)
	}
	for _, mirror := range mirrors {
		fmt.Fprintf(&toml, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", mirror)
	}
	return n.write(filepath.Join("certs.d", host, "hosts.toml"), toml.String())
}

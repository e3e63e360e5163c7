package binary

import (
	"path/filepath"
	"strings"
)

// The versions that the go.mod files under hack/devcluster pin, for programs that tell theirs.
const (
	kubernetes = "1.36.3"
	containerd = "v2.4.2"
	crictl     = "v1.36.0"
)

// Set is what is built together, into one folder.
type Set struct {
	name     string   // of the folder
	what     string   // for people
	module   string   // a folder under hack/devcluster
	sources  []string // of its own, beside go.mod and go.sum
	packages []string
	tags     string
	stamps   []string            // variables that the linker sets, "variable=value"
	links    map[string][]string // by binary, other names that it goes by
}

// API is etcd, kube-apiserver and kubectl: a quarter less to build than Cluster.
var API = Set{
	name: "envbin", what: "etcd, kube-apiserver and kubectl " + kubernetes,
	module: ".", sources: []string{"envbin/main.go"}, packages: []string{"./envbin"}, stamps: kubernetesStamps,
	links: map[string][]string{"envbin": {"etcd", "kube-apiserver", "kubectl"}},
}

// Cluster is etcd, kubectl and every process of Kubernetes.
var Cluster = Set{
	name: "devcluster", what: "etcd and Kubernetes " + kubernetes,
	module: ".", sources: []string{"main.go"}, packages: []string{"."}, stamps: kubernetesStamps,
	links: map[string][]string{"devcluster": {
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
	}},
}

// Runtime is what a node has below its kubelet: containerd with its shim and ctr, crictl, CNI plugins (bridge, loopback, host-local,
// portmap), and the cluster's DNS (coredns).
var Runtime = Set{
	name: "runtime", what: "containerd " + containerd + ", crictl, CNI plugins and CoreDNS",
	module: "node", sources: []string{"coredns/main.go"},
	packages: []string{
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr",
		"github.com/containernetworking/plugins/plugins/ipam/host-local",
		"github.com/containernetworking/plugins/plugins/main/bridge",
		"github.com/containernetworking/plugins/plugins/main/loopback",
		"github.com/containernetworking/plugins/plugins/meta/portmap",
		"sigs.k8s.io/cri-tools/cmd/crictl",
		"./coredns",
	},
	tags: "no_btrfs,no_devmapper,no_zfs",
	stamps: []string{
		"github.com/containerd/containerd/v2/version.Version=" + containerd,
		"sigs.k8s.io/cri-tools/pkg/version.Version=" + crictl,
	},
}

// S3 is versitygw, an object storage that speaks S3.
var S3 = Set{
	name: "versitygw", what: "versitygw", module: "s3server", packages: []string{"github.com/versity/versitygw/cmd/versitygw"},
}

var kubernetesStamps = []string{
	"k8s.io/component-base/version.gitVersion=v" + kubernetes,
	"k8s.io/component-base/version.gitMajor=1",
	"k8s.io/component-base/version.gitMinor=" + strings.Split(kubernetes, ".")[1],
	"k8s.io/client-go/pkg/version.gitVersion=v" + kubernetes,
}

// files are what the set is made from, in the folder that holds the modules.
func (s Set) files() []string {
	files := []string{filepath.Join(s.module, "go.mod"), filepath.Join(s.module, "go.sum")}
	for _, source := range s.sources {
		files = append(files, filepath.Join(s.module, source))
	}
	return files
}

// command builds the set into dir.
func (s Set) command(dir string) []string {
	flags := strings.Join(append([]string{"-s -w"}, s.stamps...), " -X ")
	// With a slash at its end, a folder even where there is one package.
	args := []string{"build", "-buildvcs=false", "-trimpath", "-tags", s.tags, "-ldflags", flags, "-o", dir + string(filepath.Separator)}
	return append(args, s.packages...)
}

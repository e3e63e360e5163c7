// Package cluster runs a real etcd and kube-apiserver in which Larder's kinds are installed and its users may do what its roles say. There
// is no kubelet and no scheduler. The API server logs the requests of those users.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
)

// The service accounts of the two processes, and their namespace.
const (
	Controller = "larder-controller"
	Registry   = "larder-registry"
	Namespace  = "larder-system"
)

// accounts is what comes before a service account's name in a user's.
const accounts = "system:serviceaccount:" + Namespace + ":"

// Cluster is a running API server.
type Cluster struct {
	client.Client // of a service account that may do everything, without a cache
	Config        *rest.Config
	Audit         *audit.Log        // of the two processes
	Kubeconfigs   map[string]string // files, by service account

	env *envtest.Environment
	dir string
}

// Start starts a cluster with its files in dir. Root is the folder of Larder's module. Stop ends it.
func Start(ctx context.Context, root, dir string) (*Cluster, error) {
	assets, err := binaries(ctx, root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a cluster's folder: %w", err)
	}
	policy, log := filepath.Join(dir, "audit.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(audit.Policy(accounts+Controller, accounts+Registry)), 0o644); err != nil {
		return nil, fmt.Errorf("writing the audit policy: %w", err)
	}
	c := &Cluster{Audit: audit.Open(log), Kubeconfigs: map[string]string{}, dir: dir, env: &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "helm", "larder", "files", "crds")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: time.Minute,
	}}
	c.env.ControlPlane.GetAPIServer().Configure().
		Append("audit-policy-file", policy).Append("audit-log-path", log).Append("audit-log-maxsize", "100000")
	if err := c.start(ctx, root); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, root string) error {
	if _, err := c.env.Start(); err != nil {
		return fmt.Errorf("starting etcd and kube-apiserver: %w", err)
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.populate(ctx); err != nil {
		return err
	}
	for name, file := range map[string]string{Controller: "controller.yaml", Registry: "registry.yaml"} {
		if err := c.grant(ctx, name, filepath.Join(root, "helm", "larder", "files", "rbac", file)); err != nil {
			return err
		}
		account, err := c.account(name)
		if err != nil {
			return err
		}
		content, err := account.KubeConfig()
		if err != nil {
			return fmt.Errorf("making a kubeconfig for %s: %w", name, err)
		}
		c.Kubeconfigs[name] = filepath.Join(c.dir, name+".kubeconfig")
		if err := os.WriteFile(c.Kubeconfigs[name], content, 0o600); err != nil {
			return fmt.Errorf("writing a kubeconfig for %s: %w", name, err)
		}
	}
	return nil
}

// connect makes the client. An administrator's requests would go before all others, whose fair share the API server sees to.
func (c *Cluster) connect(ctx context.Context) error {
	const name = "bench"
	admin, err := client.New(c.env.Config, client.Options{})
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	everything := &unstructured.Unstructured{}
	everything.SetKind("ClusterRole")
	everything.SetName("cluster-admin")
	if err := admin.Create(ctx, binding(everything, name)); err != nil {
		return fmt.Errorf("granting everything to %s: %w", name, err)
	}
	account, err := c.account(name)
	if err != nil {
		return err
	}
	c.Config = account.Config()
	c.Config.QPS = -1
	if c.Client, err = client.New(c.Config, client.Options{}); err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	return nil
}

// account makes a user that is a service account in all but its credential.
func (c *Cluster) account(name string) (*envtest.AuthenticatedUser, error) {
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + Namespace}
	user, err := c.env.AddUser(envtest.User{Name: accounts + name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("adding the service account %s: %w", name, err)
	}
	return user, nil
}

// binaries returns a folder with etcd and kube-apiserver, as Larder's tests find and build them.
func binaries(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/testapi")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding etcd and kube-apiserver: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Stop ends the cluster.
func (c *Cluster) Stop() error { return c.env.Stop() }

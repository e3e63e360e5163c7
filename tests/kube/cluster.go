package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/binary"
)

// Cluster is an API server of a test's own.
type Cluster struct {
	client.Client              // an administrator's, without a cache
	Config        *rest.Config // an administrator's
	Kubeconfig    string       // the same as a file

	env     *envtest.Environment
	dir     string // for files
	kubectl string
	gate    *gate
	adding  sync.Mutex
}

// New starts a cluster that ends with the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	return newWith(t)
}

// newWith is New with further flags of the API server, names and values in turn.
func newWith(t testing.TB, flags ...string) *Cluster {
	t.Helper()
	c, err := start(t.Context(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	return c
}

// Start starts a cluster for a whole package of tests; Stop ends it.
func Start(ctx context.Context) (*Cluster, error) { return start(ctx) }

func start(ctx context.Context, flags ...string) (*Cluster, error) {
	assets, err := Assets(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return nil, err
	}
	source, err := binary.Source(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{kubectl: filepath.Join(assets, "kubectl"), env: &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(source, "..", "..", "helm", "larder", "files", "crds")},
		ErrorIfCRDPathMissing: true,
		// The tests share two cores with what they test.
		ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: time.Minute,
	}}
	for i := 0; i+1 < len(flags); i += 2 {
		c.env.ControlPlane.GetAPIServer().Configure().Append(flags[i], flags[i+1])
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start() (err error) {
	if c.Config, err = c.env.Start(); err != nil {
		return fmt.Errorf("starting etcd and kube-apiserver: %w", err)
	}
	if c.dir, err = os.MkdirTemp("", "larder-kube"); err != nil {
		return err
	}
	if c.gate, err = openGate(c.Config.Host); err != nil {
		return err
	}
	c.Config.QPS, c.Config.Burst = -1, -1
	if c.Client, err = client.New(c.Config, client.Options{Scheme: Scheme()}); err != nil {
		return err
	}
	admin, err := c.env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	c.Kubeconfig, err = c.write("admin", admin.Config())
	return err
}

// Stop ends the cluster.
func (c *Cluster) Stop() error {
	var err error
	if c.gate != nil {
		err = c.gate.remove()
	}
	return errors.Join(err, c.env.Stop(), os.RemoveAll(c.dir))
}

// Scheme knows Kubernetes' kinds and Larder's.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		panic(err) // a programmer's mistake
	}
	return scheme
}

// User returns a kubeconfig file, and the same as a configuration, for a user without any right of its own. Roles are bound to its
// name. It reaches the API server through a gate that Outage shuts.
func (c *Cluster) User(t testing.TB, name string, groups ...string) (string, *rest.Config) {
	t.Helper()
	c.adding.Lock() // the API server's own list of users is not safe for several at once
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	c.adding.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	config := user.Config()
	config.Host = c.gate.host()
	file, err := c.write(name, config)
	if err != nil {
		t.Fatal(err)
	}
	return file, config
}

// Outage makes the API server unreachable for all users that User returned, and breaks their connections, until restore is called.
func (c *Cluster) Outage(t testing.TB) (restore func()) {
	t.Helper()
	c.gate.shut()
	return func() {
		t.Helper()
		if err := c.gate.open(); err != nil {
			t.Fatal(err)
		}
	}
}

// write makes a kubeconfig file of a configuration that certificates authenticate.
func (c *Cluster) write(name string, config *rest.Config) (string, error) {
	file := filepath.Join(c.dir, name+".kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test",
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: name}},
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			name: {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData},
		},
	}, file)
	if err != nil {
		return "", fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return file, nil
}

// Kubectl runs kubectl as an administrator and returns all that it says. A kubectl that cannot run ends the test.
func (c *Cluster) Kubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.dir, "kubectl-cache"))
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), err
}

// Package cluster turns the flags that larder controller and larder registry share into validated options: which cluster, which namespace
// is Larder's, and which images of pods are. It opens no network connection.
package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	flagKubeconfig = "kubeconfig"
	flagNamespace  = "namespace"
	flagProxy      = "proxy"

	serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// Options say which cluster a process works for.
type Options struct {
	Config    *rest.Config
	Namespace string // Larder's own
	Scope     usage.Scope
	Pod       *corev1.Pod // that this process runs in, its name and UID alone; nil: not known
}

// Flags are the flags of a process in a cluster. Bind them before the command line is parsed.
type Flags struct {
	kubeconfig string
	namespace  string
	proxy      string
	mirrorMode bool
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.kubeconfig, flagKubeconfig, "", "kubeconfig file; default: the cluster that this runs in, else $KUBECONFIG")
	flags.StringVar(&f.namespace, flagNamespace, "", "Larder's own namespace; default: $POD_NAMESPACE, else that of the service account")
	flags.StringVar(&f.proxy, flagProxy, "localhost:7439", "host:port with which the images of pods begin that Larder serves")
	flags.BoolVar(&f.mirrorMode, "mirror-mode", false, "all images of all pods are Larder's, whatever they begin with")
}

// Options returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	config, err := f.config()
	namespace, namespaceErr := f.ownNamespace()
	if err := errors.Join(err, namespaceErr, checkProxy(f.proxy)); err != nil {
		return Options{}, err
	}
	return Options{Config: config, Namespace: namespace, Scope: usage.Scope{Proxy: f.proxy, All: f.mirrorMode}, Pod: ownPod(namespace)}, nil
}

// ownPod is the pod of which $POD_NAME and $POD_UID tell; nil where they do not.
func ownPod(namespace string) *corev1.Pod {
	name, uid := os.Getenv("POD_NAME"), os.Getenv("POD_UID")
	if name == "" || uid == "" {
		return nil
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}}
}

// config says how the API server is reached.
func (f *Flags) config() (*rest.Config, error) {
	path := f.kubeconfig
	if path == "" {
		config, err := rest.InClusterConfig()
		if !errors.Is(err, rest.ErrNotInCluster) {
			return config, err
		}
		path = os.Getenv("KUBECONFIG")
	}
	if path == "" {
		return nil, fmt.Errorf("--%s: this runs in no cluster, and $KUBECONFIG is not set: write the path of a kubeconfig file", flagKubeconfig)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagKubeconfig, err)
	}
	return config, nil
}

func (f *Flags) ownNamespace() (string, error) {
	namespace := cmp.Or(f.namespace, os.Getenv("POD_NAMESPACE"))
	if namespace == "" {
		text, err := os.ReadFile(serviceAccountNamespace)
		if err != nil {
			return "", fmt.Errorf("--%s: there is neither $POD_NAMESPACE nor a service account: write Larder's own namespace", flagNamespace)
		}
		namespace = strings.TrimSpace(string(text))
	}
	return namespace, CheckNamespace(flagNamespace, namespace)
}

// CheckNamespace says what is wrong with a namespace that a flag names.
func CheckNamespace(flag, namespace string) error {
	if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
		return fmt.Errorf("--%s: %q: %s", flag, namespace, strings.Join(wrong, ", "))
	}
	return nil
}

func checkProxy(proxy string) error {
	if err := rewrite.CheckProxy(proxy); err != nil {
		return fmt.Errorf("--%s: %w", flagProxy, err)
	}
	return nil
}

// Images says which images of pods are Larder's, in a person's words.
func (o Options) Images() string {
	if o.Scope.All {
		return "whatever they are called (mirror mode)"
	}
	return "where they begin with " + o.Scope.Proxy + "/"
}

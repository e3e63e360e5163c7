package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/spf13/pflag"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://kube.test:6443'}}]
users: [{name: u, user: {token: t}}]
`

func parse(t *testing.T, args ...string) (cluster.Options, error) {
	t.Helper()
	var flags cluster.Flags
	set := pflag.NewFlagSet("registry", pflag.ContinueOnError)
	flags.Bind(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Options()
}

func writeKubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlags_Options(t *testing.T) {
	path := writeKubeconfig(t)
	for name, tt := range map[string]struct {
		args      []string
		env       map[string]string
		namespace string
		scope     usage.Scope
	}{
		"By flags": {
			[]string{"--kubeconfig", path, "--namespace", "larder", "--proxy", "[::1]:1", "--mirror-mode"},
			map[string]string{"KUBECONFIG": "/none", "POD_NAMESPACE": "other"}, "larder", usage.Scope{Proxy: "[::1]:1", All: true},
		},
		"By the environment": {nil, map[string]string{"KUBECONFIG": path, "POD_NAMESPACE": "other"}, "other", usage.Scope{Proxy: "localhost:7439"}},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, tt.env)
			got, err := parse(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Config.Host != "https://kube.test:6443" || got.Namespace != tt.namespace || !cmp.Equal(got.Scope, tt.scope) {
				t.Errorf("got %s, %s, %+v", got.Config.Host, got.Namespace, got.Scope)
			}
		})
	}
}

func TestFlags_OptionsSayWhatIsWrong(t *testing.T) {
	path := writeKubeconfig(t)
	good := map[string]string{"KUBECONFIG": path, "POD_NAMESPACE": "larder"}
	for name, tt := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"No kubeconfig":         {nil, map[string]string{"POD_NAMESPACE": "larder"}, "--kubeconfig: this runs in no cluster, and $KUBECONFIG is not set"},
		"A missing kubeconfig":  {[]string{"--kubeconfig", path + "x"}, good, "--kubeconfig: stat " + path + "x"},
		"No namespace":          {nil, map[string]string{"KUBECONFIG": path}, "--namespace: there is neither $POD_NAMESPACE nor a service account"},
		"A bad namespace":       {[]string{"--namespace", "A_b"}, good, `--namespace: "A_b"`},
		"A proxy without port":  {[]string{"--proxy", "localhost"}, good, `--proxy: "localhost": write host:port in lower case, such as localhost:7439`},
		"A proxy without host":  {[]string{"--proxy", ":7439"}, good, `--proxy: ":7439"`},
		"A proxy that is a URL": {[]string{"--proxy", "http://localhost:7439"}, good, `--proxy: "http://localhost:7439"`},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, tt.env)
			if _, err := parse(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func setEnvironment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{"KUBECONFIG", "POD_NAMESPACE", "KUBERNETES_SERVICE_HOST"} {
		t.Setenv(name, env[name])
	}
}

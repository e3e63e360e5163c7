package registry_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/options/registry"
	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) (registry.Options, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n" +
		"clusters: [{name: c, cluster: {server: 'https://kube.test:6443'}}]\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var flags registry.Flags
	set := pflag.NewFlagSet("registry", pflag.ContinueOnError)
	flags.Bind(set)
	if err := set.Parse(append([]string{"--kubeconfig", path, "--namespace", "larder"}, args...)); err != nil {
		t.Fatal(err)
	}
	return flags.Options()
}

func TestFlags_Options(t *testing.T) {
	t.Parallel()
	o, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen != ":7439" || o.MetricsListen != ":7440" || o.Mirrors != 8 || len(o.PullSecretNamespaces) > 0 || o.Manifests != "" {
		t.Errorf("the defaults are %+v", o)
	}
	o, err = parse(t, "--pull-secret-namespaces", "a,b", "--pull-secret-namespaces", "c")
	if err != nil || !slices.Equal(o.PullSecretNamespaces, []string{"a", "b", "c"}) {
		t.Errorf("the namespaces are %q (%v), want a, b and c", o.PullSecretNamespaces, err)
	}
}

func TestFlags_TheSinkOfTheCommandLineGoesFirst(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(config, []byte("events: {sink: 'http://one.test', source: /x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{"one.test": nil, "two.test": {"--events-sink", "https://two.test/in"}} {
		o, err := parse(t, append(args, "--config", config)...)
		if err != nil || o.Events.Sink.Host != want || o.Events.Source != "/x" {
			t.Errorf("%v: got %+v, %v; want %s", args, o.Events, err, want)
		}
	}
}

func TestFlags_OptionsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"No certificate":                   {[]string{"--tls-cert-dir", "/nowhere"}, "--tls-cert-dir: open /nowhere/tls.crt"},
		"No mirror":                        {[]string{"--mirrors", "0"}, "--mirrors: 0: write a number from 1 on"},
		"A bad namespace":                  {[]string{"--pull-secret-namespaces", "a,B"}, `--pull-secret-namespaces: "B"`},
		"An empty list is not all of them": {[]string{"--pull-secret-namespaces", ""}, "--pull-secret-namespaces: empty: write a namespace"},
		"Peers without an own address":     {[]string{"--peers", "a:1"}, `--pod-ip: "": write the address under which --peers has this replica`},
		"A peer without a port":            {[]string{"--peers", "a", "--pod-ip", "10.0.0.1"}, `--peers: "a": write host:port`},
		"A sink that is none":              {[]string{"--events-sink", "ftp://u:secret@x"}, "--events-sink: not the URL of a sink: write an http"},
		"One address for both":             {[]string{"--listen", ":1", "--metrics-listen", ":1"}, `both are ":1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

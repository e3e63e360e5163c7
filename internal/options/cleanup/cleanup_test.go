package cleanup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/larder-dev/larder/internal/options/cleanup"
)

func parse(t *testing.T, args ...string) (cleanup.Options, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n" +
		"clusters: [{name: c, cluster: {server: 'https://kube.test:6443'}}]\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var flags cleanup.Flags
	set := pflag.NewFlagSet("cleanup", pflag.ContinueOnError)
	flags.Bind(set)
	if err := set.Parse(append([]string{"--kubeconfig", path, "--namespace", "larder"}, args...)); err != nil {
		t.Fatal(err)
	}
	return flags.Options()
}

func TestFlags_Options(t *testing.T) {
	t.Parallel()
	o, err := parse(t, "--finalizers")
	if err != nil || o.Cluster.Config.Host != "https://kube.test:6443" || o.LogFormat != "text" {
		t.Errorf("got %+v (%v)", o, err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"Nothing named":    {nil, "there is nothing to clean up: write --finalizers"},
		"A bad log format": {[]string{"--finalizers", "--log-format", "xml"}, `--log-format: "xml"`},
	} {
		if _, err := parse(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

package controller_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) (controller.Options, error) {
	t.Helper()
	path := write(t, "kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n"+
		"clusters: [{name: c, cluster: {server: 'https://kube.test:6443'}}]\n")
	var flags controller.Flags
	set := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	flags.Bind(set)
	if err := set.Parse(append([]string{"--kubeconfig", path, "--namespace", "larder"}, args...)); err != nil {
		t.Fatal(err)
	}
	return flags.Options()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlags_Options(t *testing.T) {
	t.Parallel()
	o, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if o.ExpiryDelay != 720*time.Hour || !o.KeepWorkloadImages || o.Triggers || !o.LeaderElect || o.MetricsListen != ":7440" || o.Defaults.Interval != nil {
		t.Errorf("the defaults are %+v", o)
	}
	// The registry's file, of which the controller has no CA.
	file := write(t, "larder.yaml", "registries: [{host: a.b, caFile: none.pem}]\nupdateInterval: 1h\nupdateFilters: ['latest']\n")
	o, err = parse(t, "--config", file, "--expiry-delay", "never", "--keep-workload-images=false", "--triggers", "--leader-elect=false")
	if err != nil {
		t.Fatal(err)
	}
	if o.ExpiryDelay != 0 || o.KeepWorkloadImages || !o.Triggers || o.LeaderElect || o.Defaults.Interval == nil || *o.Defaults.Interval != time.Hour || len(o.Defaults.Filters) != 1 {
		t.Errorf("by flags and file they are %+v", o)
	}
}

func TestFlags_Webhook(t *testing.T) {
	t.Parallel()
	o, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if w := o.Webhook; w == nil || w.Listen != ":7443" || w.Name != "larder-webhook" || w.CertDir != "" || w.Rules.Proxy != "localhost:7439" ||
		!slices.Equal(w.Rules.IgnoredNamespaces, []string{"kube-system", "larder"}) {
		t.Errorf("the defaults are %+v", w)
	}
	file := write(t, "larder.yaml", "webhook: {ignorePullPolicyAlways: false, ignoredNamespaces: [a]}\n")
	if o, err = parse(t, "--config", file, "--proxy", "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if r := o.Webhook.Rules; r.Proxy != "127.0.0.1:1" || !r.RewriteAlways || !slices.Equal(r.IgnoredNamespaces, []string{"a", "kube-system", "larder"}) {
		t.Errorf("the rules of the file are %+v", r)
	}
	for want, args := range map[bool][]string{false: {"--mirror-mode"}, true: {"--mirror-mode", "--webhook"}} {
		if o, err = parse(t, args...); err != nil || (o.Webhook != nil) != want {
			t.Errorf("%v: there is a webhook: %t (%v), want %t", args, o.Webhook != nil, err, want)
		}
	}
	if o, err = parse(t, "--webhook=false"); err != nil || o.Webhook != nil {
		t.Errorf("switched off it is %+v (%v)", o.Webhook, err)
	}
}

func TestFlags_OptionsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"A bad name":                   {[]string{"--registry-tls", "A B"}, `--registry-tls: "A B"`},
		"No delay":                     {[]string{"--expiry-delay", "0s"}, `--expiry-delay: "0s": write a duration above 0s, such as 720h, or never`},
		"An empty delay":               {[]string{"--expiry-delay", ""}, `--expiry-delay: ""`},
		"Days":                         {[]string{"--expiry-delay", "30d"}, `--expiry-delay: "30d"`},
		"A bad address":                {[]string{"--metrics-listen", "here"}, `--metrics-listen: "here"`},
		"A bad log level":              {[]string{"--log-level", "loud"}, `--log-level: "loud"`},
		"A missing configuration":      {[]string{"--config", "none.yaml"}, "none.yaml"},
		"An unknown key in it":         {[]string{"--config", write(t, "larder.yaml", "updateIntervall: 1h")}, "larder.yaml:1"},
		"A bad address of the webhook": {[]string{"--webhook-listen", "7443"}, `--webhook-listen: "7443"`},
		"One address for two":          {[]string{"--webhook-listen", ":7440"}, `--webhook-listen: ":7440" is the address of metrics and probes too`},
		"A bad name of the webhook":    {[]string{"--webhook-name", "Larder"}, `--webhook-name: "Larder"`},
		"A bad rule of the webhook":    {[]string{"--config", write(t, "larder.yaml", "webhook:\n  ignoredImages: ['(']")}, "larder.yaml:2: webhook.ignoredImages[0]"},
		"A default that does not work": {[]string{"--config", write(t, "larder.yaml", "updateFilters: ['(']")}, "updateFilters[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

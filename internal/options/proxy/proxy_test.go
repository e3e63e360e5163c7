package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/spf13/pflag"
)

func options(t *testing.T, args ...string) (Options, error) {
	t.Helper()
	var f Flags
	set := pflag.NewFlagSet("larder-proxy", pflag.ContinueOnError)
	f.Bind(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.Options()
}

func TestFlags_Options(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "larder-proxy.yaml")
	if err := os.WriteFile(config, []byte("registries: [{host: reg.example, endpoints: ['http://127.0.0.1:5000']}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := options(t, "--registry", "a:1,b:2", "--config", config, "--node", "n1", "--drain", "1m")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:1", "b:2"}, got.Registry); diff != "" || got.Node != "n1" || got.Listen != "127.0.0.1:7439" {
		t.Errorf("got %+v", got)
	}
	want := []upstream.Registry{{Host: "reg.example", Endpoints: []string{"http://127.0.0.1:5000"}}}
	if diff := cmp.Diff(want, got.Registries); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}
}

func TestFlags_Fallback(t *testing.T) {
	t.Parallel()
	for want, args := range map[Fallback][]string{
		FallbackAlways: nil, FallbackTold: {"--fallback", "told"}, FallbackNever: {"--mirror-mode"},
	} {
		if got, err := options(t, append(args, "--registry", "a:1")...); err != nil || got.Fallback != want {
			t.Errorf("%v: %s, %v, want %s", args, got.Fallback, err, want)
		}
	}
}

func TestFlags_SayWhatToWrite(t *testing.T) {
	t.Parallel()
	unknown := filepath.Join(t.TempDir(), "larder-proxy.yaml")
	if err := os.WriteFile(unknown, []byte("storage: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"No registry":          {nil, "--registry: missing: write the registry's host:port"},
		"A registry's URL":     {[]string{"--registry", "http://a:1"}, "write host:port"},
		"No port":              {[]string{"--registry", "a"}, "write host:port"},
		"Open to others":       {[]string{"--registry", "a:1", "--listen", ":7439"}, "write an address of this machine alone"},
		"At the node's own":    {[]string{"--registry", "a:1", "--listen", "10.0.0.7:7439"}, "write an address of this machine alone"},
		"By some name":         {[]string{"--registry", "a:1", "--listen", "node-1:7439"}, "write an address of this machine alone"},
		"Nobody to trust":      {[]string{"--registry", "a:1", "--registry-ca-file", unknown}, "has no certificate: write one or more, as PEM"},
		"No such token":        {[]string{"--registry", "a:1", "--token-file", "/nowhere"}, "--token-file: reading the token: open /nowhere"},
		"A key of larder.yaml": {[]string{"--registry", "a:1", "--config", unknown}, "storage"},
		"A drain before now":   {[]string{"--registry", "a:1", "--drain", "-1s"}, "--drain: -1s: write a duration"},
		"No such fallback":     {[]string{"--registry", "a:1", "--fallback", "maybe"}, `--fallback: "maybe": write always, told or never`},
		"Two words on origins": {[]string{"--registry", "a:1", "--mirror-mode", "--fallback=told"}, "leave it out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := options(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

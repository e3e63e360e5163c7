package serve_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/spf13/pflag"
)

const full = `
registries:
- host: docker.io
  endpoints: [https://mirror.example, https://registry-1.docker.io]
  caFile: ca.pem
  insecureSkipVerify: true
  credentialsFile: ./config.json
- host: Reg.Example:5000
  endpoints: ['http://10.0.0.1:5000']
storage:
  filesystem: {rootdirectory: ./store, maxthreads: 100}
checkTimeout: 1500ms
updateInterval: 1h
updateFilters: [':latest$']
expiryDelay: never
`

func parse(t *testing.T, args ...string) (serve.Options, error) {
	t.Helper()
	var flags serve.Flags
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.Bind(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Options()
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "larder.yaml")
	writeFile(t, path, text)
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes that of a server which lives only for the call.
func writeCertificate(t *testing.T, path string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
}

func defaults() serve.Options {
	return serve.Options{
		Cache: serve.Cache{
			Data: "./larder-data", Manifests: "./repositories", LogLevel: "info", LogFormat: "text", Registries: []upstream.Registry{},
			CheckTimeout: 2 * time.Second, ExpiryDelay: 720 * time.Hour,
			Sweep: serve.Sweep{Interval: time.Hour, Grace: time.Hour}, ScrubPeriod: 168 * time.Hour,
		},
		Listen: "127.0.0.1:7439", MetricsListen: "127.0.0.1:7440",
	}
}

func TestFlags_Options(t *testing.T) {
	t.Parallel()
	hour, always := time.Hour, time.Duration(0)
	fullPath := configFile(t, full)
	manifests := t.TempDir()
	writeCertificate(t, filepath.Join(filepath.Dir(fullPath), "ca.pem"))
	writeFile(t, filepath.Join(filepath.Dir(fullPath), "config.json"), `{"auths": {}}`)
	for name, tt := range map[string]struct {
		args []string
		want func(*serve.Options)
	}{
		"Nothing is given": {nil, func(*serve.Options) {}},
		"Every flag is given": {
			[]string{"--listen=:1", "--metrics-listen=[::1]:0", "--data=/d", "--manifests=" + manifests, "--log-level=debug", "--log-format=json"},
			func(o *serve.Options) {
				o.Listen, o.MetricsListen, o.Data, o.Manifests, o.ManifestsRequired = ":1", "[::1]:0", "/d", manifests, true
				o.LogLevel, o.LogFormat = "debug", "json"
			},
		},
		"An empty file": {[]string{"--config", configFile(t, "# nothing\n")}, func(*serve.Options) {}},
		"Every key is set": {[]string{"--config", fullPath}, func(o *serve.Options) {
			dir := filepath.Dir(fullPath)
			o.Registries = []upstream.Registry{{
				Host:      "docker.io",
				Endpoints: []string{"https://mirror.example", "https://registry-1.docker.io"},
				CAFile:    filepath.Join(dir, "ca.pem"), InsecureSkipVerify: true, CredentialsFile: filepath.Join(dir, "config.json"),
			}, {
				Host: "reg.example:5000", Endpoints: []string{"http://10.0.0.1:5000"},
			}}
			o.Storage = serve.Storage{Driver: "filesystem", Parameters: map[string]any{
				"rootdirectory": filepath.Join(dir, "store"), "maxthreads": int64(100),
			}}
			o.CheckTimeout, o.ExpiryDelay = 1500*time.Millisecond, 0
			o.Defaults = policy.Defaults{Interval: &hour, Filters: []string{":latest$"}}
		}},
		"Checks at every pull": {[]string{"--config", configFile(t, "updateInterval: 0s")}, func(o *serve.Options) {
			o.Defaults.Interval = &always
		}},
		"Sweeps when it is asked to, and then at once": {
			[]string{"--config", configFile(t, "sweep: {interval: never, grace: 0s}\nscrub: {period: never}")},
			func(o *serve.Options) { o.Sweep, o.ScrubPeriod = serve.Sweep{}, 0 },
		},
		"A limit": {[]string{"--config", configFile(t, "store: {maxSize: 10Gi, lowWatermark: 0.5}")}, func(o *serve.Options) {
			o.Limit = cache.Limit{High: 9 << 30, Low: 5 << 30}
		}},
		"Never is no default": {[]string{"--config", configFile(t, "updateInterval: never")}, func(*serve.Options) {}},
		"Object storage under its own keys": {
			[]string{"--config", configFile(t, "storage: {s3: {bucket: b, region: eu-central-1, secure: false, rootdirectory: /in/bucket, keyid: }}")},
			func(o *serve.Options) {
				o.Storage = serve.Storage{Driver: "s3", Parameters: map[string]any{
					"bucket": "b", "region": "eu-central-1", "secure": false, "rootdirectory": "/in/bucket",
				}, MaxSpool: 10 << 30}
			},
		},
		"Object storage that clients are sent to": {
			[]string{"--config", configFile(t, "storage: {gcs: {bucket: b}}\nobjectStorage: {redirect: true, maxSpool: 500M, exclusive: true}")},
			func(o *serve.Options) {
				o.Storage = serve.Storage{Driver: "gcs", Parameters: map[string]any{"bucket": "b"}, Redirect: true, MaxSpool: 500_000_000, Exclusive: true}
			},
		},
		"A driver without keys": {[]string{"--config", configFile(t, "storage: {filesystem: }")}, func(o *serve.Options) {
			o.Storage = serve.Storage{Driver: "filesystem"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tt.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlags_OptionsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"A sweep all the time":     {"sweep: {interval: 0s}", `:1: sweep.interval: "0s": write a duration above 0s, such as 1h, or never`},
		"A size that is none":      {"store: {maxSize: much}", `:1: store.maxSize: "much": write a number of bytes above 0, such as 50Gi`},
		"Watermarks that meet":     {"store: {highWatermark: 0.5, lowWatermark: 0.5}", ":1: store.lowWatermark: 0.5: write a share of maxSize below highWatermark (0.5)"},
		"A period that is none":    {"scrub: {period: weekly}", `:1: scrub.period: "weekly": write a duration above 0s, such as 168h, or never`},
		"A period of nothing":      {"scrub: {period: 0s}", `:1: scrub.period: "0s": write a duration above 0s, such as 168h, or never`},
		"Watermarks of nothing":    {"store: {highWatermark: 0.5}", ":1: store: the watermarks are shares of maxSize, which is missing"},
		"A grace that is none":     {"sweep: {grace: soon}", `:1: sweep.grace: "soon": write a duration such as 1h or 0s`},
		"An unknown key":           {"cahce: 1", ":1: cahce: unknown key: write one of registries, storage, checkTimeout, updateInterval, updateFilters, expiryDelay"},
		"An unknown registry key":  {"registries:\n- host: a.b\n  caflie: x", ":3: registries[0].caflie: unknown key: write one of host, endpoints, caFile, insecureSkipVerify, credentialsFile"},
		"Not YAML":                 {"checkTimeout: 2s\nexpiryDelay: 'b", ":2: found unexpected end of stream"},
		"Two documents":            {"updateInterval: 1h\n---\nupdateInterval: 2h", ":3: a second document: write a single one"},
		"No host":                  {"registries: [{}]", ":1: registries[0].host: missing: write the host"},
		"A URL for a host":         {"registries:\n- host: https://a.b", ":2: registries[0].host: "},
		"A host twice":             {"registries:\n- host: docker.io\n- host: index.docker.io", `:3: registries[1].host: "index.docker.io": listed already`},
		"An origin by a pattern":   {"allowedOrigins:\n- docker.io\n- '*.corp.example'", `:3: allowedOrigins[1]: "*.corp.example": `},
		"An endpoint of ftp":       {"registries:\n- host: a.b\n  endpoints: ['http://ok', 'ftp://x']", `:3: registries[0].endpoints[1]: "ftp://x": write an http:// or https:// URL`},
		"An endpoint without host": {"registries:\n- host: a.b\n  endpoints: ['https://']", `:3: registries[0].endpoints[0]: "https://": write an http:// or https:// URL`},
		"An endpoint with a query": {"registries:\n- host: a.b\n  endpoints: ['https://x?y=z']", "write the URL without query"},
		"Two drivers":              {"storage: {s3: {}, gcs: {}}", ":1: storage: gcs, s3: write a single driver"},
		"An unknown driver":        {"storage: {floppy: {}}", ":1: storage.floppy: unknown driver: write one of filesystem, s3, gcs, azure, inmemory"},
		"A root that is a number":  {"storage: {filesystem: {rootdirectory: 1}}", ":1: storage.filesystem.rootdirectory: write the path of a folder"},
		"A misspelt driver key":    {"storage:\n  filesystem:\n    rootDirectory: x", ":3: storage.filesystem.rootDirectory: unknown key: write one of maxthreads, rootdirectory"},
		"A misspelt S3 key":        {"storage: {s3: {bucket: b, region: r, rootdir: x}}", ":1: storage.s3.rootdir: unknown key: write one of accelerate, accesskey, "},
		"A spool without a size":   {"storage: {gcs: {bucket: b}}\nobjectStorage: {maxSpool: big}", ":2: objectStorage.maxSpool: \"big\": write a size above 0, such as 10Gi"},
		"Exclusive in words":       {"storage: {gcs: {bucket: b}}\nobjectStorage: {exclusive: mine}", ":2: objectStorage.exclusive: "},
		"Object storage on a disk": {"objectStorage: {redirect: true}", ":1: objectStorage: images are kept in a folder"},
		"A key for no keys":        {"storage: {inmemory: {size: 1}}", ":1: storage.inmemory.size: unknown key: this driver has none"},
		"A misspelt Azure key":     {"storage: {azure: {accountname: a, container: c, credentials: {clientId: x}}}", ":1: storage.azure.credentials.clientId: unknown key: write one of clientid, secret, tenantid, type"},
		"Threads in words":         {"storage: {filesystem: {maxthreads: many}}", ":1: storage.filesystem.maxthreads: write a whole number"},
		"Secure in words":          {"storage: {s3: {bucket: b, region: r, secure: maybe}}", ":1: storage.s3.secure: write true or false"},
		"S3 without a region":      {"storage: {s3: {bucket: b}}", ":1: storage.s3.region: missing: the s3 driver needs it"},
		"A missing key file":       {"storage: {gcs: {bucket: b, keyfile: none.json}}", "none.json: no such file"},
		"A missing CA file":        {"registries:\n- host: a.b\n  caFile: none.pem", ":3: registries[0].caFile: open "},
		"A CA file of junk":        {"registries:\n- host: a.b\n  caFile: larder.yaml", "larder.yaml: no certificate in it"},
		"Missing credentials":      {"registries:\n- host: a.b\n  credentialsFile: none.json", ":3: registries[0].credentialsFile: open "},
		"Credentials of junk":      {"registries:\n- host: a.b\n  credentialsFile: larder.yaml", "write the path of a Docker config.json"},
		"A bad interval":           {"updateInterval: 1d", `:1: updateInterval: "1d": write a duration such as 1h`},
		"A bad filter":             {"updateFilters:\n- ok\n- '('", `:3: updateFilters[1]: "(": missing closing )`},
		"A timeout of nothing":     {"checkTimeout: 0s", `:1: checkTimeout: "0s": write a duration above 0s`},
		"A bad timeout":            {"checkTimeout: fast", `:1: checkTimeout: "fast": write a duration such as 2s`},
		"An expiry of nothing":     {"expiryDelay: 0s", `:1: expiryDelay: "0s": write a duration above 0s, such as 720h, or never`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := configFile(t, tt.text)
			_, err := parse(t, "--config", path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), path) {
				t.Errorf("err = %v, want %s%s", err, path, tt.want)
			}
		})
	}
}

func TestFlags_OptionsKeepPasswordsOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"https://user:hunter2@reg.example", "ftp://user:hunter2@reg.example", "https://user:hunter2@reg.example:x%zz"} {
		_, err := parse(t, "--config", configFile(t, "registries:\n- host: a.b\n  endpoints: ['"+endpoint+"']"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("err = %v, want one without the password", err)
		}
	}
}

func TestFlags_OptionsSayWhatIsWrongInTheOrderOfLines(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "--config", configFile(t, "expiryDelay: x\nupdateInterval: y\nstorage: {floppy: {}}\nregistries: [{}]"))
	if err == nil {
		t.Fatal("no error")
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if want := fmt.Sprintf("larder.yaml:%d: ", i+1); !strings.Contains(line, want) {
			t.Errorf("line %d of the error is %q, want %q in it", i+1, line, want)
		}
	}
}

func TestFlags_GCSGetsItsCredentialsInTheTypeItReads(t *testing.T) {
	t.Parallel()
	o, err := parse(t, "--config", configFile(t, "storage: {gcs: {bucket: b, credentials: {type: service_account}}}"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"bucket": "b", "credentials": map[any]any{"type": "service_account"}}
	if diff := cmp.Diff(want, o.Storage.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestFlags_OptionsSayWhatIsWrongWithFlags(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"One address for two":   {[]string{"--listen=:7439", "--metrics-listen=:7439"}, `--listen and --metrics-listen: both are ":7439"`},
		"No configuration file": {[]string{"--config="}, "--config: empty: write the path of a file"},
		"A missing folder":      {[]string{"--manifests=none"}, `--manifests: "none": there is no such folder`},
		"A file for a folder":   {[]string{"--manifests=serve_test.go"}, `--manifests: "serve_test.go": not a folder`},
		"A level that is none":  {[]string{"--log-level=loud"}, `--log-level: "loud": write debug, info, warn or error`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFlags_OptionsSayAllAtOnce(t *testing.T) {
	t.Parallel()
	path := configFile(t, "checkTimeout: x\nexpiryDelay: y")
	_, err := parse(t, "--config", path, "--listen=here", "--metrics-listen=:99999", "--data=", "--manifests=",
		"--log-level=loud", "--log-format=xml")
	for _, want := range []string{
		`--listen: "here": write host:port`, `--metrics-listen: ":99999"`, "--data: empty", "--manifests: empty",
		`--log-level: "loud": write`, `--log-format: "xml"`, "checkTimeout", "expiryDelay",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want it to say %s", err, want)
		}
	}
}

func TestFlags_OptionsNeedTheFileThatWasAskedFor(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "--config", filepath.Join(t.TempDir(), "larder.yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want that the file does not exist", err)
	}
}

func TestCacheFlags_AreThoseOfEveryCommandOnACache(t *testing.T) {
	t.Parallel()
	var flags serve.CacheFlags
	set := pflag.NewFlagSet("pull", pflag.ContinueOnError)
	flags.Bind(set)
	var names []string
	set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if diff := cmp.Diff([]string{"config", "data", "log-format", "log-level", "manifests"}, names); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	got, err := flags.Options()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults().Cache, got); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

package serve

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/version"
	"github.com/larder-dev/larder/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// running is a larder serve in this process.
type running struct {
	base, probes string // URLs
	said         []string
	cancel       context.CancelFunc
	ended        chan error
}

var addresses = regexp.MustCompile(`^Larder listens on (\S+) \(metrics and health on (\S+)\)\.$`)

func start(t *testing.T, o serve.Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, ended: make(chan error, 1)}
	reader, writer := io.Pipe()
	go func() {
		r.ended <- Run(ctx, o, writer, logr.Discard())
		_ = writer.CloseWithError(errors.New("it ended"))
	}()
	t.Cleanup(cancel)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		r.said = append(r.said, lines.Text())
		if strings.Contains(lines.Text(), "crane pull") { // the last line
			break
		}
	}
	found := addresses.FindStringSubmatch(strings.Join(r.said[:min(1, len(r.said))], ""))
	if found == nil {
		t.Fatalf("it said %q and ended with %v, want its addresses in the first line", r.said, <-r.ended)
	}
	r.base, r.probes = "http://"+found[1], "http://"+found[2]
	return r
}

// stop asks for the end, and fails the test where that takes long: who reads would be waited for, 30 seconds, and nobody does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	begin := time.Now()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("stopping took %v, want less than a second", took)
	}
}

func options(t *testing.T) serve.Options {
	t.Helper()
	folder := t.TempDir()
	return serve.Options{
		Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0",
		Cache: serve.Cache{
			Data: filepath.Join(folder, "data"), Manifests: filepath.Join(folder, "repositories"),
			LogLevel: "info", LogFormat: "text", CheckTimeout: 2 * time.Second,
		},
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	goodManifest = `apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: nginx}
spec: {name: nginx, updateInterval: 1h}
`
	badManifest = `apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: postgres}
spec: {name: postgres, updateFilters: ['(']}
`
)

func TestRun_SaysWhatItServes(t *testing.T) {
	t.Parallel()
	o := options(t)
	write(t, filepath.Join(o.Manifests, "a.yaml"), goodManifest)
	write(t, filepath.Join(o.Manifests, "b.yaml"), badManifest)
	larder := start(t, o)
	said := strings.Join(larder.said, "\n")
	for _, want := range []string{
		o.Data, "1 Repository, 0 CachedImages", "b.yaml", "spec.updateFilters[0]",
		"docker pull localhost:", "crane pull localhost:",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the first lines do not say %q:\n%s", want, said)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, larder.probes+path); status != http.StatusOK {
			t.Errorf("%s answered %d %q, want 200", path, status, body)
		}
	}
	if status, _ := get(t, larder.base+"/v2/"); status != http.StatusOK {
		t.Errorf("/v2/ answered %d, want 200", status)
	}
	_, metrics := get(t, larder.probes+"/metrics")
	for deadline := time.Now().Add(time.Minute); !strings.Contains(metrics, `larder_cached_images{state="ready"}`) && time.Now().Before(deadline); {
		_, metrics = get(t, larder.probes+"/metrics") // the mirrors begin in the background
	}
	for _, want := range []string{
		`larder_requests_total{cache="none",code="200",kind="base",method="GET"} 1`, "go_goroutines", "process_resident_memory_bytes",
		`larder_build_info{version="` + version.Version() + `"} 1`, "larder_manifest_problems 1", `larder_cached_images{state="ready"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	larder.stop(t)
	if _, err := os.Lstat(store.SocketPath(o.Data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}

func TestRun_P4_OneOwner(t *testing.T) {
	t.Parallel()
	o := options(t)
	larder := start(t, o)
	if err := Run(t.Context(), o, io.Discard, logr.Discard()); !errors.Is(err, store.ErrOwned) {
		t.Errorf("a second one on the folder ended with %v, want store.ErrOwned", err)
	}

	shared := options(t) // another data folder, the same storage
	shared.Storage = serve.Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": o.Data}}
	if err := Run(t.Context(), shared, io.Discard, logr.Discard()); !errors.Is(err, store.ErrOwned) {
		t.Errorf("a second one on the storage ended with %v, want store.ErrOwned", err)
	}
	larder.stop(t)
	start(t, o).stop(t)
}

func TestRun_OwnsItsFolderOnceWhereStorageLiesInIt(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Storage = serve.Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": o.Data}}
	start(t, o).stop(t)
}

func TestRun_P3_EndsWithinASecondWhenNobodyReads(t *testing.T) {
	t.Parallel()
	origin := silent(t)
	o := options(t)
	o.Registries = []upstream.Registry{{Host: "reg.test", Endpoints: []string{"http://" + origin.Addr().String()}}}
	write(t, filepath.Join(o.Manifests, "image.yaml"), `apiVersion: larder.dev/v1alpha1
kind: CachedImage
metadata: {name: app}
spec: {sourceImage: 'reg.test/team/app:v1'}
`)
	larder := start(t, o)
	idle, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(larder.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Get(larder.base + "/v2/reg.test/team/other/manifests/v1"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	// Both the mirror and the client wait for the origin when it has two connections.
	<-origin.accepted
	<-origin.accepted
	larder.stop(t)
	<-answered
}

// silentOrigin takes connections and never answers.
type silentOrigin struct {
	net.Listener
	accepted chan struct{}
}

func silent(t *testing.T) *silentOrigin {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := &silentOrigin{listener, make(chan struct{}, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			origin.accepted <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return origin
}

func TestRun_FailsWhereItCannotListen(t *testing.T) {
	t.Parallel()
	taken := silent(t)
	o := options(t)
	o.Listen = taken.Addr().String()
	want := "--listen: listening on " + o.Listen + ": bind: address already in use"
	if err := Run(t.Context(), o, io.Discard, testr.New(t)); err == nil || err.Error() != want {
		t.Errorf("it ended with %v, want %s", err, want)
	}
	o.Listen = "127.0.0.1:0"
	start(t, o).stop(t) // nothing was left behind
}

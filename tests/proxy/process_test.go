package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/process"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// binary is the command under test, built as it is released.
var binary string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/larder-dev/larder/tests/process.(*log).follow"), // which ends with this process
			goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "larder-proxy-test")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "larder-proxy")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary,
		"github.com/larder-dev/larder/cmd/larder-proxy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building larder-proxy: %w\n%s", err, out)
	}
	return process.Main(m), nil
}

// node is a running larder-proxy.
type node struct {
	address string // host:port of the relay
	health  string // host:port of metrics and probes
	cmd     *exec.Cmd
	ended   chan error
}

var announced = regexp.MustCompile(`^Larder listens on (\S+) \(metrics and health on (\S+)\)\.$`)

// start runs larder-proxy until the test ends, and waits until it listens.
func start(t *testing.T, listen, metrics string, args ...string) *node {
	t.Helper()
	p := &node{ended: make(chan error, 1)}
	p.cmd = exec.CommandContext(context.Background(), binary, append(args, "--listen", listen, "--metrics-listen", metrics)...)
	p.cmd.Dir = t.TempDir()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	p.cmd.Stderr = &said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		select {
		case err := <-p.ended:
			t.Logf("larder-proxy ended: %v", err)
		case <-time.After(patience):
		}
		if t.Failed() {
			t.Logf("larder-proxy said:\n%s", &said)
		}
	})
	found := announced.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
	if found == nil {
		t.Fatalf("larder-proxy said %q, %v\n%s", line, err, &said)
	}
	p.address, p.health = found[1], found[2]
	return p
}

// stop asks for the end.
func (p *node) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// awaitEnd waits for the end, which must be a good one.
func (p *node) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- nil
		if err != nil {
			t.Errorf("larder-proxy ended: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("larder-proxy does not end")
	}
}

// get asks for a whole answer on a connection of its own.
func get(ctx context.Context, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

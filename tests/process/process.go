// Package process runs the larder binary for tests of the whole process: built once, with a folder, a configuration and a port of
// its own, killed and started again as a test likes. It never looks inside: what a test sees are answers, the log and the folder.
package process

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// Host is what the origin of a test is called.
const Host = "reg.example"

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute // a busy machine is slow

// binary is the command under test.
var binary string

// Main builds the command and runs the tests of a package; TestMain exits with what it returns.
func Main(m interface{ Run() int }) int {
	dir, err := os.MkdirTemp("", "larder-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "larder")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "github.com/larder-dev/larder/cmd/larder")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building larder: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Larder is a folder with a configuration, and the process that serves it.
type Larder struct {
	Dir    string // the working directory: larder.yaml, repositories, larder-data
	Addr   string // host:port of the registry
	Health string // host:port of metrics and probes
	Hosts  string // a file that the process finds at /etc/hosts; empty: the machine's own. It takes root

	program string   // empty: larder
	args    []string // the command and its flags, but for addresses
	cmd     *exec.Cmd
	log     *log
}

// New writes a configuration by which Host is o, with further lines, and starts the process. It ends with the test.
func New(t testing.TB, o *origin.Origin, config ...string) *Larder {
	t.Helper()
	l := bare(t, "serve")
	l.configure(t, o, config...)
	l.Write(t, "repositories/none.yaml", "")
	l.Start(t)
	return l
}

// NewRegistry is New for larder registry, with flags. The process is not started yet.
func NewRegistry(t testing.TB, o *origin.Origin, flags ...string) *Larder {
	t.Helper()
	l := bare(t, append([]string{"registry"}, flags...)...)
	l.configure(t, o)
	return l
}

// NewController is for larder controller, with flags. The process is not started yet; it has no Addr. A flag may switch its webhook on.
func NewController(t testing.TB, flags ...string) *Larder {
	return bare(t, append([]string{"controller", "--webhook=false", "--webhook-listen", "127.0.0.1:0"}, flags...)...)
}

// NewProxy is for larder-proxy, with flags. The process is not started yet.
func NewProxy(t testing.TB, flags ...string) *Larder {
	t.Helper()
	program, err := buildProxy()
	if err != nil {
		t.Fatal(err)
	}
	l := bare(t, flags...)
	l.program = program
	return l
}

// buildProxy builds larder-proxy beside larder, once.
var buildProxy = sync.OnceValues(func() (string, error) {
	program := binary + "-proxy"
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "github.com/larder-dev/larder/cmd/larder-proxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building larder-proxy: %w\n%s", err, out)
	}
	return program, nil
})

func (l *Larder) configure(t testing.TB, o *origin.Origin, config ...string) {
	t.Helper()
	lines := append([]string{"registries:", "- host: " + Host, "  endpoints: [" + o.URL() + "]"}, config...)
	if !slices.ContainsFunc(config, func(line string) bool { return strings.HasPrefix(line, "checkTimeout:") }) {
		lines = append(lines, "checkTimeout: 20s") // no check is late because the machine is busy
	}
	l.Write(t, "larder.yaml", strings.Join(lines, "\n"))
}

// NewUnconfigured starts the process in an empty folder, with no file at all.
func NewUnconfigured(t testing.TB) *Larder {
	t.Helper()
	l := bare(t, "serve")
	l.Start(t)
	return l
}

func bare(t testing.TB, args ...string) *Larder {
	l := &Larder{Dir: t.TempDir(), args: args, log: &log{}}
	t.Cleanup(func() {
		l.Kill()
		if t.Failed() {
			t.Logf("larder %s said:\n%s", args[0], l.log)
		}
	})
	return l
}

// Write writes a file of the folder.
func (l *Larder) Write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Start runs the process and waits until it listens.
func (l *Larder) Start(t testing.TB) {
	t.Helper()
	args := append(slices.Clone(l.args), "--metrics-listen", "127.0.0.1:0")
	if args[0] != "controller" && !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	l.cmd = l.command(args)
	l.cmd.Dir = l.Dir
	out, in := io.Pipe()
	l.cmd.Stdout, l.cmd.Stderr = in, in
	listening := make(chan string, 1)
	go l.log.follow(out, listening)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-listening:
		l.readAddresses(t, line)
	case <-time.After(patience):
		t.Fatalf("larder does not listen:\n%s", l.log)
	}
}

// command is the process in a mount namespace of its own, where it needs one.
func (l *Larder) command(args []string) *exec.Cmd {
	program := cmp.Or(l.program, binary)
	if l.Hosts == "" {
		cmd := exec.CommandContext(context.Background(), program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	const mount = `mount --bind "$0" /etc/hosts && exec "$@"`
	cmd := exec.CommandContext(context.Background(), "sh", append([]string{"-c", mount, l.Hosts, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

var addresses = regexp.MustCompile(`^(?:Larder listens on (\S+)|This is larder controller .*) \(metrics and health on (\S+)\)\.$`)

func (l *Larder) readAddresses(t testing.TB, line string) {
	t.Helper()
	found := addresses.FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("there are no addresses in %q", line)
	}
	l.Addr, l.Health = found[1], found[2]
}

// Signal sends a signal and waits for the process to end.
func (l *Larder) Signal(t testing.TB, s os.Signal) error {
	t.Helper()
	if err := l.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	return l.cmd.Wait()
}

// Kill ends the process as a power cut of it alone would. It may be called again.
func (l *Larder) Kill() {
	if l.cmd != nil && l.cmd.ProcessState == nil {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
	}
}

// Restart kills the process and starts another on the same folder, at another port.
func (l *Larder) Restart(t testing.TB) {
	t.Helper()
	l.Kill()
	l.Start(t)
}

// Run runs another command on the same folder.
func (l *Larder) Run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = l.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Answer is the beginning of an answer.
type Answer struct {
	StatusCode int
	Header     http.Header
}

// Get asks the registry, and returns the answer with its whole body. Names and values of header fields come in turn.
func (l *Larder) Get(t testing.TB, method, path string, header ...string) (*Answer, []byte) {
	t.Helper()
	return get(t, method, "http://"+l.Addr+path, header...)
}

// GetHealth asks for metrics and probes.
func (l *Larder) GetHealth(t testing.TB, path string) (*Answer, []byte) {
	t.Helper()
	return get(t, http.MethodGet, "http://"+l.Health+path)
}

func get(t testing.TB, method, url string, header ...string) (*Answer, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return &Answer{StatusCode: resp.StatusCode, Header: resp.Header}, body
}

// Said returns what the process wrote to its standard output and error so far, over all starts.
func (l *Larder) Said() string { return l.log.String() }

// Eventually waits for what happens in another process, and ends the test if it does not.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// Settle waits until no fetch runs: what clients have read to the end is then committed.
func (l *Larder) Settle(t testing.TB) {
	t.Helper()
	Eventually(t, "every fetch to end", func() bool {
		_, body := l.GetHealth(t, "/metrics")
		return strings.Contains(string(body), "\nlarder_fetches_running 0\n")
	})
}

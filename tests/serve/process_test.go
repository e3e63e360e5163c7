package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// host is what the origin of a test is called.
const host = "reg.example"

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "larder-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "larder")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/larder")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building larder: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// larder is a folder with a configuration, and the process that serves it.
type larder struct {
	dir    string
	addr   string // host:port of the registry
	health string // host:port of metrics and probes
	cmd    *exec.Cmd
	log    *log
}

// newLarder writes a configuration by which reg.example is o, and starts the process.
func newLarder(t testing.TB, o *origin.Origin, config ...string) *larder {
	t.Helper()
	l := &larder{dir: t.TempDir(), log: &log{}}
	lines := append([]string{
		"registries:", "- host: " + host, "  endpoints: [" + o.URL() + "]", "checkTimeout: 500ms",
	}, config...)
	l.write(t, "larder.yaml", strings.Join(lines, "\n"))
	l.write(t, "repositories/none.yaml", "")
	l.start(t)
	t.Cleanup(func() {
		l.kill()
		if t.Failed() {
			t.Logf("larder said:\n%s", l.log)
		}
	})
	return l
}

func (l *larder) write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// start runs larder serve and waits until it listens.
func (l *larder) start(t testing.TB) {
	t.Helper()
	l.cmd = exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	l.cmd.Dir = l.dir
	out, in := io.Pipe()
	l.cmd.Stdout, l.cmd.Stderr = in, in
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	listening := make(chan string, 1)
	go l.log.follow(out, listening)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-listening:
		if _, err := fmt.Sscanf(line, "Larder listens on %s (metrics and health on %s", &l.addr, &l.health); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		l.health = strings.TrimSuffix(l.health, ").")
	case <-time.After(30 * time.Second):
		t.Fatalf("larder does not listen:\n%s", l.log)
	}
}

// signal sends a signal and waits for the process to end.
func (l *larder) signal(t testing.TB, s os.Signal) error {
	t.Helper()
	if err := l.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	return l.cmd.Wait()
}

func (l *larder) kill() {
	if l.cmd.ProcessState == nil {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
	}
}

// restart kills the process, as a power cut of it alone would, and starts another.
func (l *larder) restart(t testing.TB) {
	t.Helper()
	l.kill()
	l.start(t)
}

// run runs another command on the same folder.
func (l *larder) run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// get asks larder, and returns the answer with its whole body.
func (l *larder) get(t testing.TB, method, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, body
}

// log collects what a process says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) follow(r io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		fmt.Fprintln(&l.text, lines.Text())
		l.mu.Unlock()
		if strings.HasPrefix(lines.Text(), "Larder listens on ") {
			listening <- lines.Text()
		}
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually waits for what happens in another process.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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

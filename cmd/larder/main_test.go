package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"go.uber.org/goleak"
)

// asLarder makes the test's own binary be larder: the tests run it as processes of their own.
const asLarder = "LARDER_TEST_AS_LARDER"

func TestMain(m *testing.M) {
	if os.Getenv(asLarder) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// command is a larder process in folder.
func command(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), asLarder+"=1")
	return cmd
}

// finish runs larder to its end.
func finish(t *testing.T, folder string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, folder, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// startServe starts larder serve and returns when it listens.
func startServe(t *testing.T, folder string) *exec.Cmd {
	t.Helper()
	cmd := command(t, folder, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "crane pull") { // the last one
			return cmd
		}
	}
	t.Fatalf("larder serve ended with %v:\n%s", cmd.Wait(), log.String())
	return nil
}

// workFolder is a folder with a configuration that knows the origin as reg.test.
func workFolder(t *testing.T, o *origin.Origin) string {
	t.Helper()
	folder := t.TempDir()
	config := fmt.Sprintf("registries: [{host: reg.test, endpoints: ['%s']}]\n", o.URL())
	if err := os.WriteFile(filepath.Join(folder, "larder.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestPull_P4_ByItselfThenThroughServe(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	alone := o.Push(t, "team/app:v1", origin.RandomIndex(2, 64<<10, "linux/amd64", "linux/arm64"))
	handedOver := o.Push(t, "team/app:v2", origin.RandomImage(2, 64<<10))
	folder := workFolder(t, o)

	exit, out, errOut := finish(t, folder, "pull", "--platform", "linux/amd64", "reg.test/team/app:v1")
	if want := "reg.test/team/app:v1: "; exit != 0 || !strings.HasPrefix(out, want) || !strings.Contains(out, ", digest "+alone.Digest.String()+", ") {
		t.Fatalf("exit %d, %q, %q; want a line with name, size and digest %s", exit, out, errOut, alone.Digest)
	}

	serve := startServe(t, folder)
	exit, out, errOut = finish(t, folder, "pull", "reg.test/team/app:v2")
	if exit != 0 || !strings.Contains(out, handedOver.Digest.String()) {
		t.Errorf("beside larder serve: exit %d, %q, %q; want digest %s", exit, out, errOut, handedOver.Digest)
	}
	exit, out, _ = finish(t, folder, "pull", "reg.test/team/app:v2", "reg.test/team/none:v1")
	if exit != 1 || !strings.Contains(out, handedOver.Digest.String()) || !strings.Contains(out, "check the name and the tag") {
		t.Errorf("with an image that is not there: exit %d, %q; want 1, the good image and advice for the other", exit, out)
	}
	exit, _, errOut = finish(t, folder, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	if exit != 1 || !strings.Contains(errOut, "another process owns the folder") || !strings.Contains(errOut, fmt.Sprint(serve.Process.Pid)) {
		t.Errorf("a second larder serve: exit %d, %q; want 1 and process %d", exit, errOut, serve.Process.Pid)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("larder serve ended with %v, want nil", err)
	}
}

func TestPull_P4_AfterAKilledServe(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	pushed := o.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10))
	folder := workFolder(t, o)
	killed := startServe(t, folder)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if _, err := os.Lstat(filepath.Join(folder, "larder-data", "larder.sock")); err != nil {
		t.Fatalf("the killed process left no socket, there is nothing to test: %v", err)
	}
	exit, out, errOut := finish(t, folder, "pull", "reg.test/team/app:v1")
	if exit != 0 || !strings.Contains(out, pushed.Digest.String()) {
		t.Errorf("exit %d, %q, %q; want digest %s", exit, out, errOut, pushed.Digest)
	}
}

func TestRun_ExitCodes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		exit int
		says string
	}{
		"No command prints the help":            {nil, 0, ""},
		"The version":                           {[]string{"version"}, 0, ""},
		"An unknown command is a usage error":   {[]string{"push"}, 2, `unknown command "push"`},
		"An unknown flag is a usage error":      {[]string{"serve", "--fast"}, 2, "unknown flag: --fast"},
		"A bad address is a usage error":        {[]string{"serve", "--listen", "here"}, 2, "--listen"},
		"Nothing to pull is a usage error":      {[]string{"pull"}, 2, "requires at least 1 arg"},
		"A missing configuration":               {[]string{"pull", "--config", "none.yaml", "nginx"}, 2, "none.yaml"},
		"A reference that does not parse":       {[]string{"pull", "Nginx:"}, 1, "Nginx:"},
		"A platform that does not parse":        {[]string{"pull", "--platform", "amd64", "nginx"}, 1, "linux/amd64"},
		"A folder of manifests that is missing": {[]string{"serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--manifests", "none"}, 1, "none"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exit, _, errOut := finish(t, t.TempDir(), tt.args...)
			if exit != tt.exit || !strings.Contains(errOut, tt.says) {
				t.Errorf("exit %d, %q; want %d and %q", exit, errOut, tt.exit, tt.says)
			}
			if tt.exit != 0 && !strings.HasPrefix(errOut, "larder: ") {
				t.Errorf("it said %q, want it to begin with larder:", errOut)
			}
		})
	}
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"
)

// asLarder makes the test's own binary be larder: the tests run it as processes of their own.
const asLarder = "LARDER_TEST_AS_LARDER"

func TestMain(m *testing.M) {
	if os.Getenv(asLarder) != "" {
		main()
	}
	logrus.SetOutput(io.Discard) // distribution's registry logs each request, and keeps a goroutine for events that nothing stops
	leak.Main(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
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
	return finishWith(t, "", folder, args...)
}

// finishWith is finish with something to read from standard input.
func finishWith(t *testing.T, in, folder string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, folder, args...)
	cmd.Stdin = strings.NewReader(in)
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
	if errOut != "No larder serve owns ./larder-data; pulling alone.\n" {
		t.Errorf("it remarked %q, want that it pulls alone", errOut)
	}
	if want := "reg.test/team/app:v1: "; exit != 0 || !strings.HasPrefix(out, want) || !strings.Contains(out, ", digest "+alone.Digest.String()+", ") {
		t.Fatalf("exit %d, %q, %q; want a line with name, size and digest %s", exit, out, errOut, alone.Digest)
	}

	serve := startServe(t, folder)
	exit, out, errOut = finish(t, folder, "pull", "reg.test/team/app:v2")
	if exit != 0 || !strings.Contains(out, handedOver.Digest.String()) || !strings.HasSuffix(out, " (new)\n") || errOut != "" {
		t.Errorf("beside larder serve: exit %d, %q, %q; want digest %s, new, and no remark", exit, out, errOut, handedOver.Digest)
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

func TestPull_FollowsThePoliciesOfTheFolder(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	folder := workFolder(t, o)
	policies := filepath.Join(folder, "repositories")
	if err := os.Mkdir(policies, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ interval, want string }{
		{"1h", "(new)"}, {"1h", "not asked again"}, {"0s", "(confirmed)"},
	} {
		text := "apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: app}\nspec: {name: reg.test/team/app, updateInterval: " + step.interval + "}\n"
		if err := os.WriteFile(filepath.Join(policies, "app.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		exit, out, errOut := finish(t, folder, "pull", "reg.test/team/app:v1")
		if exit != 0 || !strings.Contains(out, step.want) {
			t.Errorf("with %s: exit %d, %q, %q; want %s", step.interval, exit, out, errOut, step.want)
		}
	}
}

func TestIsTerminal_DumbOnesAreNotDrawnOn(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	defer terminal.Close()
	for term, want := range map[string]bool{"xterm": true, "dumb": false} {
		t.Setenv("TERM", term)
		if got := isTerminal(terminal); got != want {
			t.Errorf("TERM=%s: got %v, want %v", term, got, want)
		}
	}
}

func TestPull_InterruptedSaysOneLine(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(3, 64<<10))
	hang := o.Fail(origin.Blobs(), origin.Hang())
	cmd := command(t, workFolder(t, o), "pull", "reg.test/team/app:v1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang.Await(t, 1)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	want := "No larder serve owns ./larder-data; pulling alone.\nlarder: interrupted: what is complete stays, run the command again for the rest\n"
	if said.String() != want || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit %d, %q; want 1 and %q", cmd.ProcessState.ExitCode(), said.String(), want)
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

const badConfig = `registries: [{host: a.b, caFile: none.pem},
  {host: c.d, credentialsFile: none.json}]
storage: {filesystem: {maxthreads: many}}
`

func TestRun_ExitCodes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		exit int
		says string
	}{
		"No command prints the help":      {nil, 0, ""},
		"The version":                     {[]string{"version"}, 0, ""},
		"The version as a flag":           {[]string{"--version"}, 0, ""},
		"An unknown command":              {[]string{"push"}, 2, `unknown command "push"`},
		"An unknown flag":                 {[]string{"serve", "--fast"}, 2, "unknown flag: --fast"},
		"A bad address":                   {[]string{"serve", "--listen", "here"}, 2, "--listen"},
		"Nothing to pull":                 {[]string{"pull"}, 2, "name at least one image, such as postgres:15"},
		"A missing configuration":         {[]string{"pull", "--config", "none.yaml", "nginx"}, 2, "none.yaml"},
		"Nothing to remove":               {[]string{"rm"}, 2, "name at least one image, such as postgres:15"},
		"A grace below zero":              {[]string{"sweep", "--grace", "-1h"}, 2, "--grace: -1h0m0s: write a duration such as 0s or 1h"},
		"A reference that does not parse": {[]string{"pull", "Nginx:"}, 2, "Nginx:"},
		"A platform that does not parse":  {[]string{"pull", "--platform", "amd64", "nginx"}, 2, "linux/amd64"},
		"A missing folder of manifests":   {[]string{"serve", "--manifests", "none"}, 2, `--manifests: "none": there is no such folder`},
		"A missing CA file":               {[]string{"serve", "--config", "bad.yaml"}, 2, "bad.yaml:1: registries[0].caFile: open none.pem"},
		"Missing credentials":             {[]string{"serve", "--config", "bad.yaml"}, 2, "bad.yaml:2: registries[1].credentialsFile: open none.json"},
		"A registry in no cluster":        {[]string{"registry", "--namespace", "larder"}, 2, "--kubeconfig: this runs in no cluster"},
		"A controller in no cluster":      {[]string{"controller", "--namespace", "larder"}, 2, "--kubeconfig: this runs in no cluster"},
		"A delay that is none":            {[]string{"controller", "--expiry-delay", "30d"}, 2, "--expiry-delay"},
		"No folder for a registry":        {[]string{"registry", "--manifests", "x"}, 2, "unknown flag: --manifests"},
		"A bad storage parameter":         {[]string{"serve", "--config", "bad.yaml"}, 2, "bad.yaml:3: storage.filesystem.maxthreads: write a whole number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "bad.yaml"), []byte(badConfig), 0o600); err != nil {
				t.Fatal(err)
			}
			exit, _, errOut := finish(t, folder, tt.args...)
			if exit != tt.exit || !strings.Contains(errOut, tt.says) {
				t.Errorf("exit %d, %q; want %d and %q", exit, errOut, tt.exit, tt.says)
			}
			if tt.exit != 0 && !strings.HasPrefix(errOut, "larder: ") {
				t.Errorf("it said %q, want it to begin with larder:", errOut)
			}
		})
	}
}

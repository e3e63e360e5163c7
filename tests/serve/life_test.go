package serve

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

func TestServe_P1_KilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	kept := o.Push(t, "kept:1", origin.RandomImage(3, 1<<18))
	if out, err := l.Run(t, "pull", host+"/kept:1"); err != nil {
		t.Fatalf("larder pull: %v\n%s", err, out)
	}
	img := o.Push(t, "app:1", origin.RandomImage(4, 1<<20))
	o.Fail(origin.Blobs(), origin.Drip(4<<20))
	for range 10 {
		pulling := make(chan struct{})
		var once sync.Once
		var clients sync.WaitGroup
		for _, b := range img.Blobs {
			clients.Go(func() { l.pullUntilKilled(t, "app", b.Digest, func() { once.Do(func() { close(pulling) }) }) })
		}
		<-pulling
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		l.Restart(t)
		clients.Wait()
	}
	o.Refuse()
	l.pull(t, kept) // a finished image survives
	o.Heal()
	if out, err := l.Run(t, "pull", host+"/app:1"); err != nil {
		t.Fatalf("larder pull: %v\n%s", err, out)
	}
	l.pull(t, img)
}

// pullUntilKilled reads a blob. It may be cut short, but where it ends well it must be right.
func (l larder) pullUntilKilled(t *testing.T, repository string, dgst digest.Digest, begun func()) {
	defer begun()
	resp, err := http.Get("http://" + l.Addr + "/v2/" + host + "/" + repository + "/blobs/" + dgst.String())
	if err != nil {
		return
	}
	defer resp.Body.Close()
	begun()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && digest.FromBytes(body) != dgst {
		t.Errorf("blob %s: a complete answer of %d bytes has another digest", dgst, len(body))
	}
}

func TestServe_P4_OneProcessOwnsTheFolder(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	out, err := l.Run(t, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, "larder-data") {
		t.Errorf("a second serve: got %v and %q, want an error that names the folder", err, out)
	}
	img := o.Push(t, "app:1", origin.RandomImage(2, 1<<14))
	out, err = l.Run(t, "pull", host+"/app:1")
	if err != nil || !strings.Contains(out, img.Digest.String()) {
		t.Fatalf("larder pull beside serve: %v\n%s", err, out)
	}
	o.Refuse()
	l.pull(t, img)

	l.Kill()
	o.Heal()
	alone := o.Push(t, "app:2", origin.RandomImage(2, 1<<14))
	if out, err = l.Run(t, "pull", host+"/app:2"); err != nil {
		t.Fatalf("larder pull alone: %v\n%s", err, out)
	}
	o.Refuse()
	l.Start(t)
	l.pull(t, alone)
}

func TestServe_PullTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	out, err := l.Run(t, "pull", host+"/nothing:1")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, host+"/nothing:1") {
		t.Errorf("got %v and %q, want exit code 1 and the image's name", err, out)
	}
}

func TestServe_ExitsAtOnceWithNoClientReading(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o, "updateInterval: 0s", "checkTimeout: 500ms")
	img := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l.pull(t, img)
	hang := o.Fail(origin.Manifests(), origin.Hang())
	l.Get(t, http.MethodHead, "/v2/"+host+"/app/manifests/1") // the check runs on
	hang.Await(t, 1)
	start := time.Now()
	if err := l.Signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("larder ended with %v, want success", err)
	}
	// It would wait 30 s for a client that reads, and 15 s for the check.
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("larder took %s to end, want about half a second", took)
	}
	if _, err := os.Stat(l.Dir + "/larder-data/larder.sock"); err == nil {
		t.Error("the socket is left behind")
	}
}

// Both the manifests and the ports are at fault: what is complained of first was done first.
func TestServe_ListensOnlyAfterTheManifestsWereRead(t *testing.T) {
	t.Parallel()
	l := process.NewUnconfigured(t)
	args := []string{"serve", "--data", "other", "--listen", l.Addr, "--metrics-listen", l.Health, "--manifests", "policies"}
	out, err := l.Run(t, args...)
	if err == nil || !strings.Contains(out, "policies") || strings.Contains(out, "listen") {
		t.Errorf("without its manifests: got %v and %q, want an error about them alone", err, out)
	}
	l.Write(t, "policies/app.yaml", repositoryYAML("app", "1h"))
	out, err = l.Run(t, args...)
	if err == nil || !strings.Contains(out, "listen") {
		t.Errorf("with its manifests: got %v and %q, want that the port is taken", err, out)
	}
}

func TestServe_EditsTakeEffectWithoutARestart(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := newLarder(t, o)
	l.pull(t, o.Push(t, "app:1", origin.RandomImage(1, 1<<12)))
	moved := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l.Write(t, "repositories/app.yaml", repositoryYAML("app", "0s"))
	process.Eventually(t, "the tag follows", func() bool { return l.digestOf(t, "app", "1") == moved.Digest.String() })

	l.Write(t, "repositories/app.yaml", repositoryYAML("app", "soon"))
	process.Eventually(t, "the mistake is reported", func() bool {
		said := l.Said()
		return strings.Contains(said, "app.yaml") && strings.Contains(said, "updateInterval")
	})
	again := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	if got := l.digestOf(t, "app", "1"); got != again.Digest.String() {
		t.Errorf("got digest %s, want %s: the last good version stays in force", got, again.Digest)
	}
}

func TestServe_ACachedImageIsMirrored(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "app:1", origin.RandomIndex(2, 1<<12, "linux/amd64", "linux/arm64"))
	l := newLarder(t, o)
	l.Write(t, "repositories/app.yaml", strings.Join([]string{
		"apiVersion: larder.dev/v1alpha1", "kind: CachedImage", "metadata: {name: app}",
		"spec: {sourceImage: '" + host + "/app:1'}",
	}, "\n"))
	for _, child := range img.Manifests {
		for _, b := range child.Blobs {
			process.Eventually(t, "blob "+b.Digest.String(), func() bool { return o.BytesSent(b.Digest) == b.Size })
		}
	}
	process.Eventually(t, "the log says so", func() bool { return strings.Contains(l.Said(), img.Digest.String()) })
	o.Refuse()
	l.pull(t, img)
}

func repositoryYAML(path, interval string) string {
	return strings.Join([]string{
		"apiVersion: larder.dev/v1alpha1", "kind: Repository", "metadata: {name: " + path + "}",
		"spec: {name: " + host + "/" + path + ", updateInterval: " + interval + "}",
	}, "\n")
}

func (l larder) digestOf(t *testing.T, repository, tag string) string {
	t.Helper()
	resp, _ := l.Get(t, http.MethodHead, "/v2/"+host+"/"+repository+"/manifests/"+tag)
	return resp.Header.Get("Docker-Content-Digest")
}

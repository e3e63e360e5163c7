package crash

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/process"
)

// cannotMount is the status with which powercut ends where the machine has no FUSE.
const cannotMount = 3

// TestPowerCut_P1_UnsyncedWritesAreDropped runs larder serve on a disk that loses what was not synced. In every other round a random part
// of that survives, as on a real disk.
func TestPowerCut_P1_UnsyncedWritesAreDropped(t *testing.T) {
	t.Parallel()
	seed := seed(t)
	luck := rand.New(rand.NewPCG(seed, 1))
	d := newDisk(t, seed)
	w := newWorld(t)
	l := process.New(t, w.Origin, "updateInterval: 0s", "storage: {filesystem: {rootdirectory: "+d.folder+"}}")
	var complete int64
	for number := range scale(12, 200) {
		r := &round{world: w, larder: l, number: number, seed: seed, tolerant: true}
		d.say(t, "arm "+strconv.Itoa(1+luck.IntN(1200)))
		d.await(t, "armed")
		r.run(t, func() {
			d.await(t, "out")
			r.cut.Store(true)
			l.Kill()
		})
		complete += r.complete.Load()
		d.say(t, []string{"drop", "tear"}[number%2])
		d.await(t, "mounted")
		l.Start(t)
		requireNothingTemporary(t, d.folder)
		w.Refuse()
		for _, img := range w.sample(luck, 3) {
			requireWhole(t, w, l.Addr, img)
		}
		w.Heal()
		w.slow()
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d answers were complete and right, %d images were reported as finished", complete, len(w.finished))
	requireSomething(t, w, complete)
	l.Restart(t)
	requireOnlyLasting(t, d.folder)
	requireRecovery(t, w, l)
	l.Kill() // before its disk goes
}

// disk is a mounted file system whose power can be cut.
type disk struct {
	folder string
	cmd    *exec.Cmd
	in     io.WriteCloser
	heard  chan string   // what it says; closed when it has ended
	ended  chan struct{} // closed when its status is known
}

// newDisk mounts one, or skips the test where the machine cannot.
func newDisk(t *testing.T, seed uint64) *disk {
	t.Helper()
	d := &disk{folder: t.TempDir(), heard: make(chan string, 1), ended: make(chan struct{})}
	d.cmd = exec.Command(buildPowercut(t), "-seed", strconv.FormatUint(seed, 10), d.folder)
	d.start(t)
	t.Cleanup(func() {
		_ = d.in.Close()
		if <-d.ended; !d.cmd.ProcessState.Success() && !t.Skipped() {
			t.Errorf("powercut ended with %s", d.cmd.ProcessState)
		}
	})
	if line := <-d.heard; line == "mounted" {
		return d
	}
	if <-d.ended; d.cmd.ProcessState.ExitCode() == cannotMount {
		t.Skip("NOT TESTED: no power was cut, for this machine cannot mount FUSE (it needs /dev/fuse, and root or fusermount3)")
	}
	t.Fatal("powercut does not mount its disk")
	return nil
}

func buildPowercut(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "powercut")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "powercut" // a module of its own
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building powercut: %v\n%s", err, out)
	}
	return binary
}

// start starts the command and passes on what it says.
func (d *disk) start(t *testing.T) {
	t.Helper()
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = t.Output()
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.heard <- lines.Text()
		}
		close(d.heard)
		_ = d.cmd.Wait() // its status is looked at
	}()
}

func (d *disk) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(d.in, line); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-d.heard:
		if got != want {
			t.Fatalf("the disk said %q, want %q", got, want)
		}
	case <-time.After(5 * time.Minute): // a slow machine takes long for a thousand writes
		t.Fatalf("the disk did not say %q", want)
	}
}

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A shell that has a child: both count.
func TestProcess_UsageIsOfTheChildrenToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; touch busy; exec sleep 60' & wait`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	p, err := Start(cmd, filepath.Join(dir, "output.log"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Watch()
	if err != nil {
		t.Fatal(err)
	}
	for range time.Tick(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "busy")); err == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the child never finished its work")
		}
	}
	own, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := w.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if usage.CPU <= own {
		t.Errorf("got %s of CPU, want more than the %s of the process alone", usage.CPU, own)
	}
	if usage.Peak <= 0 || usage.Wall <= 0 {
		t.Errorf("got %+v, want memory and time", usage)
	}
	anon, err := p.Anon()
	if err != nil {
		t.Fatal(err)
	}
	if all, err := p.RSS(); err != nil || all <= anon {
		t.Errorf("got %d bytes resident (%v), want more than the %d that are anonymous", all, err, anon)
	}
	if err := p.each(func(pid int) error { return exec.Command("kill", "-9", strconv.Itoa(pid)).Run() }); err != nil {
		t.Error(err)
	}
	<-p.Done()
}

func TestWatch_SaysThatTheProcessEnded(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.Command("sleep", "60"), filepath.Join(t.TempDir(), "output.log"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Watch()
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if _, err := w.Stop(); err == nil {
		t.Error("got no error from watching a process that has ended")
	}
	if p.Err() == nil {
		t.Error("a killed process has ended well")
	}
}

package store

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLock_P4_OneProcessOwnsAFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by", "lock")
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), lockChild+"="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "locked\n" {
		t.Fatalf("the other process said %q, error %v", line, err)
	}

	_, err = Lock(dir)
	if !errors.Is(err, ErrOwned) || !strings.Contains(err.Error(), "process "+strconv.Itoa(child.Process.Pid)) {
		t.Errorf("got error %v, want ErrOwned with process %d", err, child.Process.Pid)
	}
	// Killed, not closed: the lock ends with its process.
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	lock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrOwned) {
		t.Errorf("got error %v for a second lock, want ErrOwned", err)
	}
	wantNone(t, lock.Release())
	lock, err = Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, lock.Release())
	wantEqual(t, SocketPath(dir), filepath.Join(dir, "larder.sock"))
}

package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const (
	mib = 1 << 20
	// floor is what Larder leaves free for links and records.
	floor = 32 * mib
)

// newSmallSite starts a process whose data folder is a disk of that size. That takes root.
func newSmallSite(t *testing.T, o *origin.Origin, size int64, lines ...string) *site {
	t.Helper()
	s := newPlainSite(t, o, lines...)
	s.Kill()
	if err := unix.Mount("tmpfs", s.data(), "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		t.Skipf("SKIPPED, NOTHING IS PROVEN: a small disk cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := unix.Unmount(s.data(), 0); err != nil {
			t.Errorf("unmounting the small disk: %v", err)
		}
	})
	s.Start(t)
	return s
}

func (s *site) data() string { return filepath.Join(s.Dir, "larder-data") }

// fill takes room on the disk until leave bytes are free, and returns what frees it again.
func (s *site) fill(t *testing.T, leave int64) (free func()) {
	t.Helper()
	name := filepath.Join(s.data(), "somebody-elses")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for left := s.free(t); left > leave; left = s.free(t) {
		if _, err := f.Write(make([]byte, min(mib, left-leave))); err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) free(t *testing.T) int64 {
	t.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(s.data(), &stat); err != nil {
		t.Fatal(err)
	}
	return int64(stat.Bavail) * stat.Bsize
}

// makeReadOnly makes the data folder read-only until the returned function is called: a mount over it, since a real one has files open
// for writing. What the process has open stays writable, as on a disk that fails.
func (s *site) makeReadOnly(t *testing.T) (end func()) {
	t.Helper()
	if err := unix.Mount(s.data(), s.data(), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED, NOTHING IS PROVEN: the folder cannot be mounted, which takes root: %v", err)
	}
	mounted := true
	end = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := unix.Unmount(s.data(), unix.MNT_DETACH); err != nil {
			t.Errorf("making the folder writable again: %v", err)
		}
	}
	t.Cleanup(end)
	if err := unix.Mount("", s.data(), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return end
}

// pullAtOnce pulls an image by several clients at the same time.
func (s *site) pullAtOnce(t *testing.T, img origin.Image, clients int) {
	t.Helper()
	done := make(chan bool)
	for range clients {
		go func() { done <- pull(t, s.url(process.Host, img.Repository), img) }()
	}
	for range clients {
		<-done
	}
}

func (s *site) storesBlobs(t *testing.T, img origin.Image) int {
	t.Helper()
	n := 0
	for _, b := range img.Blobs {
		if s.stores(t, b.Digest) {
			n++
		}
	}
	return n
}

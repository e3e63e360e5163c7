package store

import (
	"errors"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a tmpfs; that takes root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting the small disk: %v", err)
		}
	})
	return dir
}

func TestSpool_B7_NoRoomBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	refuses := func(*os.File, int64) error { return unix.EOPNOTSUPP }
	for _, test := range []struct {
		name     string
		allocate func(*os.File, int64) error
	}{
		{"The file system sets blocks aside", allocate},
		{"The file system cannot, and spools are added up", refuses},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := openStore(t, Options{Data: smallDisk(t, "64m")})
			s.spools.room.allocate = test.allocate
			const size = 20 << 20
			first, err := s.NewSpool(digest.FromString("first"), size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := first.Write(make([]byte, size/2)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.NewSpool(digest.FromString("second"), size); !errors.Is(err, ErrNoRoom) {
				t.Errorf("got error %v for a second spool, want ErrNoRoom", err)
			}
			wantEqual(t, len(spoolFiles(t, s)), 1)
			first.Discard()
			wantEqual(t, s.spools.room.promised, int64(0))
			second, err := s.NewSpool(digest.FromString("second"), size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := second.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, s.spools.room.promised, int64(0))
			wantNone(t, second.Commit(t.Context()))
			second.Discard()
		})
	}
}

func TestSpool_B7_UnknownSizeStopsAtTheFloor(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{Data: smallDisk(t, "64m")})
	sp, err := s.NewSpool(digest.FromString("endless"), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	chunk := make([]byte, 1<<20)
	written := 0
	for err == nil && written < 64 {
		_, err = sp.Write(chunk)
		written++
	}
	if !errors.Is(err, ErrNoRoom) || written > 48 {
		t.Errorf("got error %v after %d MiB", err, written)
	}
	// Below the floor there is room for records still.
	wantNone(t, s.PutDocument(t.Context(), nginx, "tags", make([]byte, 1<<20)))
}

func TestStore_B7_FullDisk(t *testing.T) {
	t.Parallel()
	data := smallDisk(t, "4m")
	s, _ := openStore(t, Options{Data: data})
	s.spools.room.floor = 0
	dgst := commit(t, s, []byte("stored before"))
	sp, err := s.NewSpool(digest.FromString("filling"), -1)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = sp.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("writing to a full disk: got error %v", err)
	}
	if err := s.PutDocument(t.Context(), nginx, "tags", make([]byte, 64<<10)); !errors.Is(err, ErrNoRoom) {
		t.Errorf("writing a document to a full disk: got error %v", err)
	}
	wantEqual(t, len(spoolFiles(t, s)), 1)

	// The spool's leftover is all that makes room for the next process.
	s, _ = openStore(t, Options{Data: data})
	s.spools.room.floor = 0
	wantEqual(t, len(spoolFiles(t, s)), 0)
	blob, err := s.OpenBlob(t.Context(), dgst, -1)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, blob.Close())
	sp.Discard()
}

func TestStore_ReadOnlyDiskStillServes(t *testing.T) {
	t.Parallel()
	data := smallDisk(t, "64m")
	s, _ := openStore(t, Options{Data: data})
	dgst := commit(t, s, []byte("stored before"))
	desc := putManifest(t, s, nginx, "stored before")
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest}))
	lock, err := Lock(data)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, lock.Release())
	left, err := s.NewSpool(digest.FromString("left"), 1)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, left.file.Close()) // an open file for writing would keep the disk from going read-only
	if err := unix.Mount("", data, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("the disk cannot be made read-only here: %v", err)
	}

	lock, err = Lock(data)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, lock.Release())
	s, _ = openStore(t, Options{Data: data})
	blob, err := s.OpenBlob(t.Context(), dgst, int64(len("stored before")))
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, blob.Close())
	_, err = s.Tag(t.Context(), nginx, "1")
	wantNone(t, err)
	_, _, err = s.ReadManifest(t.Context(), nginx, desc.Digest)
	wantNone(t, err)
	if _, err := s.NewSpool(digest.FromString("new"), 1); !errors.Is(err, unix.EROFS) {
		t.Errorf("got error %v for a new spool", err)
	}
	if err := s.PutDocument(t.Context(), nginx, "tags", nil); !errors.Is(err, unix.EROFS) {
		t.Errorf("got error %v for a document", err)
	}
}

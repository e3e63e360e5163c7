package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLock_SaysThatTheFolderIsReadOnly(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{dir, filepath.Join(dir, "below")} {
		if _, err := Lock(folder); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "read-only file system") {
			t.Errorf("locking %s: got error %v, want that the file system is read-only", folder, err)
		}
	}
}

func TestLock_SaysWhoMay(t *testing.T) {
	t.Parallel()
	err := withHint(&fs.PathError{Op: "open", Path: "larder.lock", Err: unix.EACCES})
	if want := "permission denied: run it as the user who runs larder serve"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, want := withHint(fs.ErrNotExist).Error(), fs.ErrNotExist.Error(); got != want {
		t.Errorf("got %s for another error, want %s", got, want)
	}
}

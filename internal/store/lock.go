package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrOwned is returned for a folder that another process has locked.
var ErrOwned = errors.New("another process owns the folder")

const (
	lockFile   = "larder.lock"
	socketFile = "larder.sock"
)

// FolderLock is the ownership of a folder by one process. It ends with the process, however that ends.
type FolderLock struct{ file *os.File }

// Lock makes this process the owner of a data folder (rule P4), which is created where it is missing, or returns ErrOwned
// with the owner's process id in the message. A store that lies in another folder has to be locked as well.
func Lock(dir string) (*FolderLock, error) {
	file, err := openLock(dir)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w%s", ErrOwned, owner(file))
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	// The process id only helps a person to find the owner: a full disk must not keep the process from starting.
	if file.Truncate(0) == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return &FolderLock{file}, nil
}

// openLock opens the lock file. A disk that went read-only has it from before, and can still be served from.
func openLock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, withHint(err)
	}
	name := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, unix.EROFS) {
		if left, missing := os.Open(name); missing == nil {
			return left, nil
		}
	}
	return file, withHint(err)
}

// withHint says what to do where the folder is another user's.
func withHint(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run it as the user who runs larder serve", err)
	}
	return err
}

// owner is the part of the message that names the owner, if it has written who it is yet.
func owner(file *os.File) string {
	content := make([]byte, 20)
	n, _ := file.ReadAt(content, 0)
	pid, err := strconv.Atoi(string(content[:n]))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": process %d", pid)
}

// Release gives the folder up. The file stays: removing it could take it from under the next owner.
func (l *FolderLock) Release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("releasing a lock: %w", err)
	}
	return nil
}

// SocketPath is where the owner of a data folder listens for the commands beside it.
func SocketPath(dir string) string { return filepath.Join(dir, socketFile) }

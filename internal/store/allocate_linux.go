package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate sets blocks aside for a file and leaves its size alone, so that its size tells what has arrived.
func allocate(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		if err != unix.EINTR {
			return err
		}
	}
}

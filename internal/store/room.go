package store

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// roomFloor is what spools leave free on the disk, so that links and records can still be written when blobs cannot.
const roomFloor = 32 << 20

// room hands out the space of the disk that holds the spools.
type room struct {
	floor    int64
	allocate func(f *os.File, size int64) error

	mu       sync.Mutex
	promised int64 // bytes that running spools still need and the file system has not set aside
}

// reserve sets size bytes aside for f, or fails with ErrNoRoom. Where the file system cannot do that, the bytes are
// only promised, and the spool must redeem them as it writes.
func (r *room) reserve(f *os.File, size int64) (promised bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size = max(size, 0)
	if err := r.check(f, size); err != nil {
		return false, err
	}
	if size == 0 {
		return false, nil
	}
	switch err := r.allocate(f, size); {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		r.promised += size
		return true, nil
	case err != nil:
		return false, fmt.Errorf("reserving %d bytes: %w", size, noRoom(err))
	}
	return false, nil
}

// check fails with ErrNoRoom where size more bytes would go below the floor. The lock is held.
func (r *room) check(f *os.File, size int64) error {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &stat); err != nil {
		return fmt.Errorf("asking for the free space: %w", err)
	}
	free := int64(stat.Bavail) * int64(stat.Bsize)
	if left := free - r.promised - size; left < r.floor {
		return fmt.Errorf("%w: %d bytes are needed, %d are free and %d of them kept for other use",
			ErrNoRoom, size, free, r.promised+r.floor)
	}
	return nil
}

// more says whether the disk is above its floor still.
func (r *room) more(f *os.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.check(f, 0)
}

// redeem takes n promised bytes off the account.
func (r *room) redeem(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promised -= n
}

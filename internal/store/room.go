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
	limit    int64 // bytes that all spools may have together; 0: no limit

	mu       sync.Mutex
	spooled  int64 // bytes of the spools there are, as far as they were asked for
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
	if size > 0 {
		promised, err = r.setAside(f, size)
	}
	if err == nil {
		r.spooled += size
	}
	return promised, err
}

// setAside is reserve for what there is room for. The lock is held.
func (r *room) setAside(f *os.File, size int64) (promised bool, err error) {
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
	if r.limit > 0 && r.spooled+size > r.limit {
		return fmt.Errorf("%w: %d bytes are needed, and %d of the %d that spools may have are taken", ErrNoRoom, size, r.spooled, r.limit)
	}
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

// more adds n bytes to a spool that reserved none, while the disk is above its floor.
func (r *room) more(f *os.File, n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(f, n); err != nil {
		return err
	}
	r.spooled += n
	return nil
}

// leave takes the n bytes of a spool that has ended off the account.
func (r *room) leave(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spooled -= n
}

// redeem takes n promised bytes off the account.
func (r *room) redeem(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promised -= n
}

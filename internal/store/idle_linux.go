package store

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// Idle makes the calling goroutine read from disks only when nobody else does, where the system's scheduler knows that. The goroutine keeps
// its thread from then on; both end together.
func Idle() {
	runtime.LockOSThread()
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle) // without it the rate alone is low
}

// forgetCached tells the system that a file that was read is not needed in memory.
func forgetCached(reader io.Reader) {
	if file, ok := reader.(*os.File); ok {
		_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
}

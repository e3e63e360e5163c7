package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is how long the path of a unix socket may be on every system, in bytes (Linux takes 107, others 103).
const maxSocketPath = 103

// Listen opens the control socket at path for the user who runs this process alone. The caller holds the lock of the folder,
// so what lies at path is left over from a process that was killed: it is replaced.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing a stale control socket: %w", err)
	}
	address, release, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer release()
	config := net.ListenConfig{Control: restrict}
	listener, err := config.Listen(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("listening on the control socket %s: %w", path, err)
	}
	// The address may name a file descriptor of this moment: it is no path to unlink at the end.
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("restricting the control socket: %w", err), listener.Close())
	}
	return &socket{Listener: listener, path: path}, nil
}

// socket removes its file when it is closed.
type socket struct {
	net.Listener
	path string
}

func (s *socket) Close() error {
	err := s.Listener.Close()
	if removed := os.Remove(s.path); removed != nil && !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// restrict sets the mode of the socket before it gets a name, where the system knows that (Linux): nobody
// else can connect in between.
func restrict(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	address, release, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer release()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", address)
}

// shorten returns a name for path that fits into a socket address: path itself, or one that leads through an open descriptor
// of its folder. It is good until release is called.
func shorten(path string) (address string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("opening the folder of the control socket: %w", err)
	}
	through := filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())))
	if _, err := os.Stat(through); err != nil {
		_ = folder.Close()
		return "", nil, fmt.Errorf("the path of the control socket %s is too long for this system (%d bytes, at most %d): use a data folder with a shorter path",
			path, len(path), maxSocketPath)
	}
	return filepath.Join(through, filepath.Base(path)), func() { _ = folder.Close() }, nil
}

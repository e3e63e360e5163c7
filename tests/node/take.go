package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// take locks the machine for this process, and removes what an earlier one left.
func take(ctx context.Context) (release func(), err error) {
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a node runs on this machine already: locking %s: %w", f.Name(), err), f.Close())
	}
	if err := clean(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("removing what an earlier node left: %w", err), f.Close())
	}
	return func() {
		_ = os.Remove(f.Name())
		_ = f.Close()
	}, nil
}

// Clean removes what a node left whose process was killed. It fails while a node runs.
func Clean(ctx context.Context) error {
	release, err := take(ctx)
	if err == nil {
		release()
	}
	return err
}

package httpx

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dropStalled sets TCP_USER_TIMEOUT on a listening socket: what it accepts inherits it. Unlike a write deadline it bounds the
// time without progress, and it holds inside sendfile too.
func dropStalled(timeout time.Duration) func(network, address string, conn syscall.RawConn) error {
	return func(_, _ string, conn syscall.RawConn) error {
		var failure error
		err := conn.Control(func(fd uintptr) {
			failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		})
		if err == nil {
			err = failure
		}
		if err != nil {
			return fmt.Errorf("setting TCP_USER_TIMEOUT: %w", err)
		}
		return nil
	}
}

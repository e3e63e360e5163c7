//go:build !linux

package httpx

import (
	"syscall"
	"time"
)

// dropStalled leaves it to the system how long a peer may take nothing: only Linux lets it be set.
func dropStalled(time.Duration) func(network, address string, conn syscall.RawConn) error { return nil }

//go:build !linux

package httpx

import (
	"net"
	"syscall"
)

// shared leaves the address to this process alone: only Linux hands it over without a loss.
func shared(_, _ string, _ syscall.RawConn) error { return nil }

// YieldTo does nothing: no other process listens beside ln's.
func YieldTo(net.Listener) error { return nil }

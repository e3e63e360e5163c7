//go:build !linux

package httpx

import (
	"net"
	"syscall"
)

// shared leaves the address to this process alone: only Linux hands it over without a loss.
func shared(_, _ string, _ syscall.RawConn) error { return nil }

// HandOver does nothing: no other process listens beside ln's.
func HandOver(net.Listener) error { return nil }

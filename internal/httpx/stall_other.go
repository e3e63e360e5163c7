//go:build !linux

package httpx

import "net"

// takenBy leaves it to the system how long a peer may take nothing: only Linux tells what it has taken.
func takenBy(net.Conn) (taken uint64, waiting bool) { return 0, false }

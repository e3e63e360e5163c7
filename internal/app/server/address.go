package server

import (
	"net"
	"net/netip"
)

// Reachable is the host:port under which a person on this machine reaches a listener.
func Reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && (addr.IsUnspecified() || addr.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

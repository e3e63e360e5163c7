// Package port keeps TCP ports for tests that need an address at which nobody listens: for a while, or at all. A port that a test merely
// closed is anybody's: on a busy machine another process takes it, and answers, or the test cannot have it back.
package port

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Port is a port of an address that nobody else gets until Close. While the test does not Listen, connections are refused.
type Port struct {
	address string
	file    *os.File // a socket that is bound and does not listen
}

// New keeps a free port of 127.0.0.1 until the test ends.
func New(t testing.TB) *Port {
	t.Helper()
	p, err := Keep("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Keep keeps a port: that of an address "host:port" of IPv4 or, where it is 0, a free one.
func Keep(address string) (*Port, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("keeping a port: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keeping a port: %w", err)
	}
	file := os.NewFile(uintptr(fd), address)
	at, err := bind(fd, to)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("keeping port %s: %w", address, err)
	}
	return &Port{address: net.JoinHostPort(net.IP(at.Addr[:]).String(), strconv.Itoa(at.Port)), file: file}, nil
}

// bind takes the port for the socket alone, but for connections there that have ended, and lets listeners of ours beside it afterwards.
func bind(fd int, to *net.TCPAddr) (*unix.SockaddrInet4, error) {
	at := &unix.SockaddrInet4{Port: to.Port}
	copy(at.Addr[:], to.IP.To4())
	ended := 0
	if to.Port != 0 {
		ended = 1
	}
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, ended) },
		func() error { return unix.Bind(fd, at) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	return name.(*unix.SockaddrInet4), nil
}

// String is the address, "host:port".
func (p *Port) String() string { return p.address }

// Listen listens at the port. It may be called again when the listener before it is closed.
func (p *Port) Listen() (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		outer := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if err == nil {
			err = outer
		}
		return err
	}}
	return config.Listen(context.Background(), "tcp4", p.address)
}

// Close gives the port back.
func (p *Port) Close() error { return p.file.Close() }

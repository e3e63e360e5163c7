package httpx

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// shared lets further processes of the same user listen on an address that this one listens on.
func shared(_, _ string, raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// successor chooses the second socket among those that listen on an address, in the order in which they began to. Where there is no
// second one, the kernel chooses as ever.
var successor = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}

// YieldTo sends what connects from now on to the process that began to listen beside ln's, if there is one. What connected before
// waits in ln still: accept it, since closing ln resets it. The next to begin listening takes over at once then.
func YieldTo(ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("handing %s over: %w", ln.Addr(), err)
	}
	program := &unix.SockFprog{Len: uint16(len(successor)), Filter: &successor[0]}
	if err := control(raw, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program)
	}); err != nil {
		return fmt.Errorf("handing %s over: %w", ln.Addr(), err)
	}
	return nil
}

package httpx

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shared lets further processes of the same user listen on an address that this one listens on.
func shared(_, _ string, raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// successor chooses the second socket among those that listen on an address, in the order in which they began to. Where there is no
// second one, the kernel chooses as ever.
var successor = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}

const (
	yieldLook = 50 * time.Millisecond // between two looks at what waits to be accepted
	yieldMost = 5 * time.Second       // how long it is waited for
)

// HandOver sends what connects from now on to the process that began to listen beside ln's, if there is one, and returns when what
// connected before is accepted: closing ln would reset it. Meanwhile ln must be served. The next process that listens beside takes over
// at once.
func HandOver(ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = control(raw, yield)
	}
	if err != nil {
		return fmt.Errorf("handing %s over: %w", ln.Addr(), err)
	}
	for end := time.Now().Add(yieldMost); time.Now().Before(end); {
		time.Sleep(yieldLook) // a handshake that has begun ends here
		if waiting, err := waitingIn(raw); err != nil || waiting == 0 {
			return err
		}
	}
	return nil
}

func yield(fd int) error {
	program := &unix.SockFprog{Len: uint16(len(successor)), Filter: &successor[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program)
}

// waitingIn is how many connections of a listener wait to be accepted: of a socket that listens, the kernel tells it there.
func waitingIn(raw syscall.RawConn) (n uint32, err error) {
	err = control(raw, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Unacked
		}
		return err
	})
	return n, err
}

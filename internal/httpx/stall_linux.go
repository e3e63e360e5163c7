package httpx

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// takenBy returns how many bytes the peer of a connection has acknowledged, and whether more wait for it.
func takenBy(conn net.Conn) (taken uint64, waiting bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if control(raw, func(fd int) (err error) {
		info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	}) != nil {
		return 0, false
	}
	return info.Bytes_acked, info.Notsent_bytes > 0 || info.Unacked > 0
}

func control(raw syscall.RawConn, do func(fd int) error) error {
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = do(int(fd)) }); err != nil {
		return err
	}
	return failure
}

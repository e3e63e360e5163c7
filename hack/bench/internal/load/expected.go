package load

import (
	"bytes"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// expected is what must stand in the head of a right answer.
type expected struct {
	status, digest, length []byte
}

func expect(h Head) expected {
	return expected{
		status: []byte("HTTP/1.1 200 "),
		digest: []byte("\r\nDocker-Content-Digest: " + h.Digest + "\r\n"),
		length: fmt.Appendf(nil, "\r\nContent-Length: %d\r\n", h.Length),
	}
}

// check says whether an answer is whole; a whole one that is not right is an error.
func (e *expected) check(answer []byte) (bool, error) {
	if !bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
		return false, nil
	}
	if bytes.HasPrefix(answer, e.status) && bytes.Contains(answer, e.digest) && bytes.Contains(answer, e.length) {
		return true, nil
	}
	return true, fmt.Errorf("a wrong answer: %q", answer)
}

func sockaddr(address string) (unix.SockaddrInet4, error) {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return unix.SockaddrInet4{}, fmt.Errorf("reading the address of a server: %w", err)
	}
	if !parsed.Addr().Is4() {
		return unix.SockaddrInet4{}, fmt.Errorf("reading the address of a server: %s is not IPv4", address)
	}
	return unix.SockaddrInet4{Port: int(parsed.Port()), Addr: parsed.Addr().As4()}, nil
}

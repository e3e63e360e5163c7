package httpx

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"golang.org/x/sys/unix"
)

func TestListen_P3_AcceptedConnectionsInheritTheTimeout(t *testing.T) {
	t.Parallel()
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dial(t, ln.Addr().String())
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := userTimeout(t, conn); got != stallTimeout {
		t.Errorf("TCP_USER_TIMEOUT is %s, want %s", got, stallTimeout)
	}
}

func userTimeout(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var milliseconds int
	var failure error
	if err := raw.Control(func(fd uintptr) {
		milliseconds, failure = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	return time.Duration(milliseconds) * time.Millisecond
}

// serveEndlessly serves an endless answer and reports how writing it ended.
func serveEndlessly(t *testing.T, stall time.Duration) (addr string, ended <-chan error) {
	t.Helper()
	ln, err := listen(t.Context(), "127.0.0.1:0", stall)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				results <- err
				return
			}
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, Options{Log: testr.New(t)}) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), results
}

func TestListen_P3_AClientThatTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	addr, ended := serveEndlessly(t, time.Second)
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "timed out") {
			t.Errorf("writing ended with %v, want a time-out", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server still writes to a client that takes nothing")
	}
}

func TestListen_P3_ASlowClientIsKept(t *testing.T) {
	t.Parallel()
	const stall = 2 * time.Second
	addr, ended := serveEndlessly(t, stall)
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	pace := time.NewTicker(stall / 20)
	defer pace.Stop()
	for begin := time.Now(); time.Since(begin) < 2*stall; <-pace.C {
		if _, err := io.CopyN(io.Discard, conn, 256<<10); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the server dropped a client that takes: %v", err)
	default:
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

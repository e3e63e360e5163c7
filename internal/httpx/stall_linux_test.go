package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"golang.org/x/sys/unix"

	"github.com/larder-dev/larder/tests/pair"
)

// serveEndlessly serves an endless answer and reports how writing it ended.
func serveEndlessly(t *testing.T, stall time.Duration) (addr string, ended <-chan error) {
	t.Helper()
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveEndlesslyOn(t, ln, stall)
}

func serveEndlesslyOn(t *testing.T, ln net.Listener, stall time.Duration) (addr string, ended <-chan error) {
	t.Helper()
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
	go func() { served <- Serve(ctx, ln, handler, Options{Log: testr.New(t), stall: stall}) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), results
}

func TestServe_P3_AClientThatTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	addr, ended := serveEndlessly(t, time.Second)
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing ended with %v, want a connection that was closed", err)
		}
	case <-time.After(time.Minute):
		t.Error("the server still writes to a client that takes nothing")
	}
}

func TestServe_P3_AClientThatTakesNothingByTLSIsDropped(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pair.Write(t, folder, "larder")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	addr, ended := serveEndlesslyOn(t, ln, time.Second)
	conn := tls.Client(dial(t, addr), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) //nolint:gosec // who is there is not the question
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("writing an endless answer ended well")
		}
	case <-time.After(time.Minute):
		t.Error("the server still writes to a client that takes nothing")
	}
}

func TestServe_P3_ASlowClientIsKept(t *testing.T) {
	t.Parallel()
	const stall = 5 * time.Second // longer than a busy machine keeps a client that takes
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

// A client that reads slowly through a small window lets the server's kernel send a part of a segment now and then, mostly when it
// probes: that is no progress for TCP_USER_TIMEOUT, but it is for the client.
func TestServe_P3_ASlowClientWithASmallWindowIsKept(t *testing.T) {
	t.Parallel()
	const stall = 5 * time.Second
	addr, ended := serveEndlessly(t, stall)
	dialer := net.Dialer{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		outer := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
		return errors.Join(outer, err)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	pace := time.NewTicker(stall / 30)
	defer pace.Stop()
	for begin := time.Now(); time.Since(begin) < 4*stall; <-pace.C {
		if _, err := io.CopyN(io.Discard, conn, 512); err != nil {
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

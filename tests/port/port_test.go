package port_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/tests/port"
)

func dial(t *testing.T, address string) error {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err == nil {
		err = conn.Close()
	}
	return err
}

func TestPort_IsTheTestsAlone(t *testing.T) {
	t.Parallel()
	p := port.New(t)
	for range 3 {
		if err := dial(t, p.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connecting while nobody listens: %v, want it refused", err)
		}
		if _, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else listens there: %v, want the address in use", err)
		}
		if _, err := port.Keep(p.String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else keeps it: %v, want the address in use", err)
		}
		ln, err := p.Listen()
		if err != nil {
			t.Fatal(err)
		}
		if err := dial(t, p.String()); err != nil {
			t.Errorf("connecting while the test listens: %v", err)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}

package kube

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// gate forwards connections to the API server while it is open.
type gate struct {
	target  string
	address string // host:port of the gate itself

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
}

func openGate(target string) (*gate, error) {
	g := &gate{target: strings.Trim(strings.TrimPrefix(target, "https://"), "/"), address: "127.0.0.1:0", conns: map[net.Conn]struct{}{}}
	return g, g.open()
}

func (g *gate) host() string { return "https://" + g.address }

func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", g.address)
	if err != nil {
		return fmt.Errorf("opening the gate to the API server: %w", err)
	}
	g.listener, g.address = l, l.Addr().String()
	go g.accept(l)
	return nil
}

func (g *gate) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go g.forward(conn)
	}
}

func (g *gate) forward(conn net.Conn) {
	defer conn.Close()
	out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", g.target)
	if err != nil {
		return
	}
	defer out.Close()
	if !g.add(conn) {
		return
	}
	go func() {
		_, _ = io.Copy(out, conn)
		_ = out.Close()
	}()
	_, _ = io.Copy(conn, out)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
}

// add says whether the gate is open still.
func (g *gate) add(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return false
	}
	g.conns[conn] = struct{}{}
	return true
}

// shut refuses connections, and breaks those there are.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close()
		g.listener = nil
	}
	for conn := range g.conns {
		_ = conn.Close()
	}
	clear(g.conns)
}

package kube

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/larder-dev/larder/tests/port"
)

// gate forwards connections to the API server while it is open.
type gate struct {
	target string
	port   *port.Port // the gate's own, also while it is shut

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
}

func openGate(target string) (*gate, error) {
	kept, err := port.Keep("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{target: strings.Trim(strings.TrimPrefix(target, "https://"), "/"), port: kept, conns: map[net.Conn]struct{}{}}
	return g, g.open()
}

func (g *gate) host() string { return "https://" + g.port.String() }

func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, err := g.port.Listen()
	if err != nil {
		return fmt.Errorf("opening the gate to the API server: %w", err)
	}
	g.listener = l
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

// remove shuts the gate for ever.
func (g *gate) remove() error {
	g.shut()
	return g.port.Close()
}

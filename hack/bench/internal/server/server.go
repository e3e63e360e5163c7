// Package server starts what is measured: Larder, its peers and the floors, each as a process of its own on a free port of
// the loopback interface. It measures nothing.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/process"
)

// patience is how long a server may take to answer for the first time.
const patience = 30 * time.Second

// ErrMissing says that a server is not installed here.
var ErrMissing = errors.New("not installed")

// Name says which server it is.
type Name string

// The servers.
const (
	Larder       Name = "Larder"
	Silent       Name = "Larder without access log" // at --log-level warn
	Proxy        Name = "larder-proxy"
	Distribution Name = "distribution"
	Nginx        Name = "nginx"
	Floor        Name = "net/http"
	Origin       Name = "origin"
)

// Server is a running server.
type Server struct {
	*process.Process
	Address string // host:port
	prefix  string // what a repository's path begins with
}

// Path returns the path of a manifest or blob of a repository.
func (s *Server) Path(repository, kind, reference string) string {
	return s.prefix + repository + "/" + kind + "/" + reference
}

// URL returns the URL of the same.
func (s *Server) URL(repository, kind, reference string) string {
	return "http://" + s.Address + s.Path(repository, kind, reference)
}

// Binaries are the files to run; one that is empty is not installed.
type Binaries struct {
	Larder       string
	Proxy        string
	Distribution string
	Nginx        string
	Self         string // the benchmark: it is also the origin and the bare server
}

// Setup is what a server starts with.
type Setup struct {
	Dir      string // its own folder, which keeps a cache's store
	Content  string // what a file server serves
	Origin   string // URL
	Interval string // Larder's updateInterval
	Registry string // host:port of the registry that larder-proxy relays to
	Probes   string // host:port at which larder-proxy says whether it is ready
}

// command is how to start a server, once its address is known.
type command struct {
	prefix string
	files  map[string]string // to write into its folder before
	args   []string
	env    []string
}

// Start starts a server and waits until it answers. The server does not outlive ctx.
func (b Binaries) Start(ctx context.Context, name Name, s Setup) (*Server, error) {
	address, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	server, err := b.StartAt(ctx, name, address, s)
	if err != nil {
		return nil, err
	}
	if err := server.await(ctx); err != nil {
		said, _ := os.ReadFile(server.Log) // it only adds to the error
		server.Kill()
		return nil, fmt.Errorf("starting %s: %w\n%s", name, err, said)
	}
	return server, nil
}

// StartAt starts a server at an address, and waits for nothing. The server does not outlive ctx.
func (b Binaries) StartAt(ctx context.Context, name Name, address string, s Setup) (*Server, error) {
	c, err := b.command(name, address, s)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	for file, text := range c.files {
		if err := os.WriteFile(filepath.Join(s.Dir, file), []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), c.env...)
	p, err := process.Start(cmd, filepath.Join(s.Dir, "output.log"))
	if err != nil {
		return nil, err
	}
	return &Server{Process: p, Address: address, prefix: c.prefix}, nil
}

func (b Binaries) command(name Name, address string, s Setup) (command, error) {
	switch name {
	case Larder:
		return b.larder(address, s, "info"), nil
	case Silent:
		return b.larder(address, s, "warn"), nil
	case Proxy:
		return b.proxy(address, s), nil
	case Distribution:
		return b.distribution(address, s), nil
	case Nginx:
		return b.nginx(address, s)
	case Floor:
		return command{prefix: "/v2/", args: []string{b.Self, "floor", s.Content, address}}, nil
	default:
		return command{}, fmt.Errorf("no server is called %q", name)
	}
}

// await waits for the first answer, whatever it says.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ping(ctx, s.Address)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.Done():
			return fmt.Errorf("it ended: %w", s.Err())
		case <-ctx.Done():
			return err
		}
	}
}

func ping(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// FreeAddress returns a port that nobody listens at now.
func FreeAddress(ctx context.Context) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}

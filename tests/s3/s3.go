// Package s3 runs a real S3 server, versitygw, for tests that want object storage, and counts what it is asked. It says nothing of what
// lies in a bucket.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/binary"
)

// Credentials and region of every server.
const (
	AccessKey = "larder-test"
	SecretKey = "larder-test-secret"
	Region    = "us-east-1"
)

const (
	attempts = 5 // to find a port that nobody takes meanwhile
	patience = time.Minute
)

// Server is an S3 server on loopback.
type Server struct {
	Endpoint string // http://host:port

	dir   string // data, sidecar
	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer // read when ended is closed
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared returns the server of this test process, which the first who asks starts. The process's TestMain runs its tests by Around.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = Start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// Around returns the tests m, after which the shared server ends.
func Around(m *testing.M) interface{ Run() int } { return around{m} }

type around struct{ tests *testing.M }

func (a around) Run() int {
	// With it the AWS SDK writes into the transport that all its sessions share, each time that one is made.
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	code := a.tests.Run()
	if shared.server != nil {
		shared.server.Stop()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // the driver's
	}
	return code
}

// Start starts a server, and builds it where this machine never did; Stop ends it.
func Start(ctx context.Context) (*Server, error) {
	folder, err := binary.S3.Build(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return nil, err
	}
	for range attempts {
		var s *Server
		if s, err = start(ctx, filepath.Join(folder, "versitygw")); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func start(ctx context.Context, binary string) (*Server, error) {
	dir, err := os.MkdirTemp("", "larder-s3")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, ended: make(chan struct{})}
	for _, name := range []string{"data", "sidecar"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	address, portErr := freePort(ctx)
	if err := errors.Join(err, portErr, s.run(binary, address)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.await(ctx, address); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w:\n%s", err, &s.said)
	}
	s.Endpoint = "http://" + address
	return s, nil
}

// freePort names an address that nobody listens on now. The server cannot be given one that is open.
func freePort(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *Server) run(binary, address string) error {
	s.cmd = exec.CommandContext(context.Background(), binary, "--port", address, "--access", AccessKey, "--secret", SecretKey,
		"--region", Region, "--quiet", "posix", "--sidecar", filepath.Join(s.dir, "sidecar"), filepath.Join(s.dir, "data"))
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting versitygw: %w", err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
	return nil
}

// await returns when the server takes connections.
func (s *Server) await(ctx context.Context, address string) error {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return errors.New("versitygw ended")
		case <-deadline:
			return errors.New("versitygw does not listen")
		}
	}
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.ended
	_ = os.RemoveAll(s.dir)
}

// Bucket makes a bucket of the test's own.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp(filepath.Join(s.dir, "data"), "bucket-") // a folder is a bucket
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path)
}

// Folder is where a bucket's objects lie, as files, for what a test does behind the server's back.
func (s *Server) Folder(bucket string) string { return filepath.Join(s.dir, "data", bucket) }

// Parameters are those of distribution's s3 driver for a bucket, through endpoint: the server's, or a Meter's.
func Parameters(endpoint, bucket string) map[string]any {
	return map[string]any{
		"accesskey": AccessKey, "secretkey": SecretKey, "region": Region, "regionendpoint": endpoint, "bucket": bucket,
		"forcepathstyle": true, "secure": false, "chunksize": int64(5 << 20), // the least there is
	}
}

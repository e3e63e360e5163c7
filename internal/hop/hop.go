// Package hop is TLS between larder-proxy and larder registry: the registry's certificate, and whom the proxies trust for it, each in files
// that are read again when they change, so that both are replaced without a restart. It makes no certificate and knows no Kubernetes.
package hop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ServerName is what the registry is called in its certificate. The proxies ask for it whatever the address that they connect to: those of
// pods come and go.
const ServerName = "larder-registry"

// The files of a folder, named as a Secret of type kubernetes.io/tls names its keys, and of whom to trust.
const (
	CertificateFile = "tls.crt"
	KeyFile         = "tls.key"
	TrustFile       = "ca.crt"
)

// lookEvery is how soon a change of the files is seen at the latest, by the next handshake.
const lookEvery = time.Second

// Certificate is the registry's. It is safe for concurrent use.
type Certificate struct{ files followed[*tls.Certificate] }

// OpenCertificate reads tls.crt and tls.key of a folder.
func OpenCertificate(folder string) (*Certificate, error) {
	paths := []string{filepath.Join(folder, CertificateFile), filepath.Join(folder, KeyFile)}
	c := &Certificate{followed[*tls.Certificate]{paths: paths, parse: func(files [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(files[0], files[1])
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of %s: %w", folder, err)
		}
		return &pair, nil
	}}}
	return c, c.files.open()
}

// Config is for who listens.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.files.current(), nil },
	}
}

// Trust is whose certificate the proxies take for the registry's. It is safe for concurrent use.
type Trust struct{ files followed[*x509.CertPool] }

// OpenTrust reads a file of certificates, PEM: authorities, or the registry's certificates themselves.
func OpenTrust(path string) (*Trust, error) {
	t := &Trust{followed[*x509.CertPool]{paths: []string{path}, parse: func(files [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(files[0]) {
			return nil, fmt.Errorf("reading whom to trust: %s has no certificate: write one or more, as PEM", path)
		}
		return pool, nil
	}}}
	return t, t.files.open()
}

// Config is for who connects, this once: the next connection may trust others.
func (t *Trust) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ServerName: ServerName, RootCAs: t.files.current(),
	}
}

// followed is what some files say together, read again when they change.
type followed[T any] struct {
	paths []string
	parse func(files [][]byte) (T, error)

	mu     sync.Mutex
	value  T
	files  [][]byte // of the value
	looked time.Time
}

func (f *followed[T]) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.look()
}

// current is what the files said not long ago. While they cannot be read, or do not fit together because they are being replaced, what they
// said last counts.
func (f *followed[T]) current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookEvery {
		_ = f.look() // the value stays
	}
	return f.value
}

func (f *followed[T]) look() error {
	f.looked = time.Now()
	files := make([][]byte, len(f.paths))
	var errs []error
	same := len(f.files) > 0
	for i, path := range f.paths {
		var err error
		files[i], err = os.ReadFile(path)
		errs = append(errs, err)
		same = same && bytes.Equal(files[i], f.files[i])
	}
	if err := errors.Join(errs...); err != nil || same {
		return err
	}
	value, err := f.parse(files)
	if err == nil {
		f.value, f.files = value, files
	}
	return err
}

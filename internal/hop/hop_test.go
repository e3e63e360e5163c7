package hop

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/pair"
)

// site is a registry's folder and a proxy's, and a listener of the former.
type site struct {
	folder, trust string
	listener      net.Listener
	certificate   *Certificate
	trusted       *Trust
}

func newSite(t *testing.T, host string) *site {
	t.Helper()
	s := &site{folder: t.TempDir(), trust: filepath.Join(t.TempDir(), TrustFile)}
	pair.Replace(t, s.trust, pair.Write(t, s.folder, host))
	var err error
	if s.certificate, err = OpenCertificate(s.folder); err != nil {
		t.Fatal(err)
	}
	if s.trusted, err = OpenTrust(s.trust); err != nil {
		t.Fatal(err)
	}
	if s.listener, err = tls.Listen("tcp", "127.0.0.1:0", s.certificate.Config()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.listener.Close() })
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "x")
				_ = c.Close()
			}()
		}
	}()
	return s
}

// ask connects as a proxy does.
func (s *site) ask(t *testing.T) error {
	t.Helper()
	c, err := (&tls.Dialer{Config: s.trusted.Config()}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.ReadAll(c)
	return err
}

// look has both look at their files again, as they do after a second.
func (s *site) look() {
	age(&s.certificate.files)
	age(&s.trusted.files)
}

func age[T any](f *followed[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = time.Time{}
}

func TestTrust_FollowsTheFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, ServerName)
	if err := s.ask(t); err != nil {
		t.Fatalf("the registry itself: %v", err)
	}
	before, err := os.ReadFile(s.trust)
	if err != nil {
		t.Fatal(err)
	}
	staged := t.TempDir()
	next := pair.Write(t, staged, ServerName)
	pair.Replace(t, s.trust, slices.Concat(before, next))
	s.look()
	if err := s.ask(t); err != nil {
		t.Errorf("the next one is trusted too: %v", err)
	}
	for _, file := range []string{CertificateFile, KeyFile} { // one after the other: between them they do not fit together
		content, err := os.ReadFile(filepath.Join(staged, file))
		if err != nil {
			t.Fatal(err)
		}
		pair.Replace(t, filepath.Join(s.folder, file), content)
		s.look()
		if err := s.ask(t); err != nil {
			t.Errorf("after %s was replaced: %v", file, err)
		}
	}
	pair.Replace(t, s.trust, next)
	s.look()
	if err := s.ask(t); err != nil {
		t.Errorf("the next one alone is trusted: %v", err)
	}
	pair.Replace(t, s.trust, before)
	s.look()
	if err := s.ask(t); err == nil {
		t.Error("the next one serves, and is not trusted any more")
	}
	if err := os.Remove(s.trust); err != nil {
		t.Fatal(err)
	}
	pair.Replace(t, filepath.Join(s.folder, KeyFile), []byte("nonsense"))
	s.look()
	if _, stranger := errors.AsType[*tls.CertificateVerificationError](s.ask(t)); !stranger {
		t.Error("files that are gone for a moment change what is known")
	}
}

func TestTrust_TheNameCountsAndNotTheAddress(t *testing.T) {
	t.Parallel()
	if err := newSite(t, "localhost").ask(t); err == nil {
		t.Error("a certificate for another name is taken for the registry's")
	}
	s := newSite(t, ServerName)
	c, err := (&tls.Dialer{Config: &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}}). //nolint:gosec // it is refused
														DialContext(t.Context(), "tcp", s.listener.Addr().String())
	if err == nil {
		_ = c.Close()
		t.Error("the registry speaks an old TLS")
	}
}

func TestOpen_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, TrustFile)
	if _, err := OpenTrust(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("whom to trust is missing: %v", err)
	}
	pair.Replace(t, path, []byte("nonsense"))
	if _, err := OpenTrust(path); err == nil || !strings.Contains(err.Error(), "write one or more, as PEM") {
		t.Errorf("whom to trust is nonsense: %v", err)
	}
	if _, err := OpenCertificate(folder); err == nil || !strings.Contains(err.Error(), CertificateFile) {
		t.Errorf("the certificate is missing: %v", err)
	}
	pair.Write(t, folder, ServerName)
	pair.Write(t, filepath.Join(folder, "other"), ServerName)
	if err := os.Rename(filepath.Join(folder, "other", KeyFile), filepath.Join(folder, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCertificate(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("the key belongs to another certificate: %v", err)
	}
}

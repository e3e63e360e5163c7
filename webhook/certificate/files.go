package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Files serves a certificate that somebody else makes and rotates, and whom to trust for it is somebody else's too: cert-manager's.
type Files struct{ watcher *certwatcher.CertWatcher }

// NewFiles has a manager follow tls.crt and tls.key in a folder.
func NewFiles(m manager.Manager, folder string) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, corev1.TLSCertKey), filepath.Join(folder, corev1.TLSPrivateKeyKey))
	if err != nil {
		return nil, fmt.Errorf("reading the webhook's certificate: %w", err)
	}
	return &Files{watcher}, m.Add(watcher)
}

// GetCertificate is for a tls.Config.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Check says why API servers would not trust the certificate, as far as that can be told from it.
func (f *Files) Check() error {
	certificate, err := f.watcher.GetCertificate(nil)
	switch {
	case err != nil:
		return err
	case certificate == nil || certificate.Leaf == nil:
		return errors.New("there is no certificate yet")
	case time.Now().After(certificate.Leaf.NotAfter):
		return fmt.Errorf("the certificate expired at %s", certificate.Leaf.NotAfter)
	}
	return nil
}

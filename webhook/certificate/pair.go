package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

const (
	// life is for how long a pair is good.
	life = 90 * 24 * time.Hour
	// early is by how much a pair is valid before it was made: clocks differ.
	early = 10 * time.Minute
)

// pair is a certificate that vouches for itself alone, and its key. No authority's key lies anywhere, with which others could be signed.
type pair struct {
	certificate *x509.Certificate
	crt, key    []byte // PEM
}

func newPair(host string, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-early), NotAfter: now.Add(life), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return readPair(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	), nil
}

// readPair returns nil for what is no pair.
func readPair(crt, key []byte) *pair {
	read, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil
	}
	return &pair{certificate: read.Leaf, crt: crt, key: key}
}

// good says whether a client can trust the pair for a name.
func (p *pair) good(host string, now time.Time) bool {
	return p != nil && vouches(p.crt, p.certificate, host, now) == nil
}

// made is when the pair was made.
func (p *pair) made() time.Time { return p.certificate.NotBefore.Add(early) }

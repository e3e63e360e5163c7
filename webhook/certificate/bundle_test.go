package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// issuer is an authority of a test's own.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T, valid time.Duration) issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: start, NotAfter: start.Add(valid),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := issuer{template, key, nil}
	a.certificate = a.sign(t, template, key)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	return a
}

func (a issuer) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf is a certificate for the name "webhook", valid from the start on.
func (a issuer) leaf(t *testing.T, valid time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Leaf: a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"webhook"}, NotBefore: start, NotAfter: start.Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key)}
}

func TestBundle_EarlierAuthoritiesStayUntilTheyExpire(t *testing.T) {
	t.Parallel()
	first, second, third := newAuthority(t, time.Hour), newAuthority(t, 3*time.Hour), newAuthority(t, 3*time.Hour)
	add := func(bundle []byte, a issuer, now time.Time) []byte {
		t.Helper()
		merged, err := merge(bundle, a.pem, now)
		if err != nil {
			t.Fatal(err)
		}
		return merged
	}
	bundle := add(nil, first, start)
	bundle = add(bundle, second, start)
	if want := slices.Concat(first.pem, second.pem); !bytes.Equal(bundle, want) {
		t.Errorf("the bundle is\n%s\nwant the first and the second authority", bundle)
	}
	if again := add(bundle, second, start); &again[0] != &bundle[0] {
		t.Error("a bundle that has the authority was made anew")
	}
	if got, want := add(bundle, third, start.Add(2*time.Hour)), slices.Concat(second.pem, third.pem); !bytes.Equal(got, want) {
		t.Errorf("once the first has expired the bundle is\n%s\nwant the second and the third authority", got)
	}
	dirty := slices.Concat([]byte("by hand\n"), first.pem, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), first.pem)
	if got, want := add(dirty, second, start), slices.Concat(first.pem, second.pem); !bytes.Equal(got, want) {
		t.Errorf("of a bundle with nonsense remains\n%s\nwant the first and the second authority", got)
	}
	if _, err := merge(bundle, first.pem, start.Add(2*time.Hour)); err == nil {
		t.Error("an authority that has expired was added")
	}
}

func TestBundle_DoesNotGrowForEver(t *testing.T) {
	t.Parallel()
	var bundle []byte
	var last issuer
	for range 3 * maxTrusted {
		last = newAuthority(t, time.Hour)
		var err error
		if bundle, err = merge(bundle, last.pem, start); err != nil {
			t.Fatal(err)
		}
	}
	if kept := parse(bundle, start); len(kept) != maxTrusted || !kept[maxTrusted-1].Equal(last.certificate) {
		t.Errorf("%d authorities are kept, want %d, the newest among them", len(kept), maxTrusted)
	}
	oldest := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: parse(bundle, start)[0].Raw})
	if got, err := merge(slices.Concat(bundle, newAuthority(t, time.Hour).pem), oldest, start); err != nil || !bytes.Contains(got, oldest) {
		t.Errorf("the authority in use was dropped (%v)", err)
	}
}

package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// maxTrusted bounds how many authorities a bundle keeps, should something rotate them for ever.
const maxTrusted = 5

// merge adds an authority to a bundle. The earlier ones stay until they expire: replicas go on with certificates of theirs until all API
// servers trust the new one. A bundle that needs no change is returned as it is.
func merge(bundle, authority []byte, now time.Time) ([]byte, error) {
	added := parse(authority, now)
	if len(added) == 0 {
		return nil, fmt.Errorf("reading the authority: no certificate in it is valid")
	}
	trusted := parse(bundle, now)
	for _, c := range added {
		if !slices.ContainsFunc(trusted, c.Equal) {
			trusted = append(trusted, c)
		}
	}
	for i := 0; len(trusted) > maxTrusted && i < len(trusted); {
		if slices.ContainsFunc(added, trusted[i].Equal) {
			i++
			continue
		}
		trusted = slices.Delete(trusted, i, i+1)
	}
	if merged := encode(trusted); !bytes.Equal(merged, bundle) {
		return merged, nil
	}
	return bundle, nil
}

// parse returns the certificates of a bundle that are valid still, each once. What cannot be read is left out.
func parse(bundle []byte, now time.Time) []*x509.Certificate {
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return found
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && block.Type == "CERTIFICATE" && now.Before(c.NotAfter) && !slices.ContainsFunc(found, c.Equal) {
			found = append(found, c)
		}
	}
}

func encode(certificates []*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// vouches says whether a bundle makes a client trust a certificate for a name.
func vouches(bundle []byte, certificate *x509.Certificate, name string, now time.Time) error {
	roots := x509.NewCertPool()
	for _, c := range parse(bundle, now) {
		roots.AddCert(c)
	}
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

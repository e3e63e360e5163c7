package daemon

import (
	"fmt"

	"github.com/larder-dev/larder/internal/hop"
	"github.com/spf13/pflag"
)

const (
	flagCertificate = "tls-cert-dir"
	flagTrust       = "registry-ca-file"
)

// Certificate is the flag that names the folder of the registry's certificate.
type Certificate struct{ folder string }

// Bind adds the flag to a set.
func (c *Certificate) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&c.folder, flagCertificate, "",
		"folder with tls.crt and tls.key: answer by TLS, as "+hop.ServerName+"; read again when they change; default: plain HTTP")
}

// Open reads the files; nil where the flag is not set.
func (c *Certificate) Open() (*hop.Certificate, error) {
	if c.folder == "" {
		return nil, nil
	}
	certificate, err := hop.OpenCertificate(c.folder)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagCertificate, err)
	}
	return certificate, nil
}

// Trust is the flag that names the file of those who may be the registry.
type Trust struct{ path string }

// Bind adds the flag to a set.
func (t *Trust) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&t.path, flagTrust, "",
		"PEM file of whom to trust as the registry: ask it by TLS, under the name "+hop.ServerName+"; read again when it changes; default: plain HTTP")
}

// Open reads the file; nil where the flag is not set.
func (t *Trust) Open() (*hop.Trust, error) {
	if t.path == "" {
		return nil, nil
	}
	trust, err := hop.OpenTrust(t.path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagTrust, err)
	}
	return trust, nil
}

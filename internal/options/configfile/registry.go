package configfile

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"

	docker "github.com/docker/cli/cli/config"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// Registry is an entry of registries in the configuration file.
type Registry struct {
	Host               string   `json:"host"`
	Endpoints          []string `json:"endpoints"`
	CAFile             string   `json:"caFile"`
	InsecureSkipVerify bool     `json:"insecureSkipVerify"`
	CredentialsFile    string   `json:"credentialsFile"`
}

// Registries checks the entries and makes of them what the client of origins takes.
func (r *Reader) Registries(entries []Registry) []upstream.Registry {
	registries := make([]upstream.Registry, 0, len(entries))
	for i, entry := range entries {
		path := fmt.Sprintf("registries[%d]", i)
		host := r.host(path+".host", entry.Host)
		known := func(other upstream.Registry) bool { return other.Host == host }
		if host != "" && slices.ContainsFunc(registries, known) {
			r.Report(path+".host", "%q: listed already: write one entry with all endpoints", entry.Host)
		}
		for j, endpoint := range entry.Endpoints {
			r.endpoint(fmt.Sprintf("%s.endpoints[%d]", path, j), endpoint)
		}
		registries = append(registries, upstream.Registry{
			Host:               host,
			Endpoints:          entry.Endpoints,
			CAFile:             r.caFile(path+".caFile", entry.CAFile),
			InsecureSkipVerify: entry.InsecureSkipVerify,
			CredentialsFile:    r.credentialsFile(path+".credentialsFile", entry.CredentialsFile),
		})
	}
	return registries
}

// Allowed checks what may be an origin.
func (r *Reader) Allowed(entries []string) []upstream.Allowed {
	var all []upstream.Allowed
	for i, entry := range entries {
		allowed, err := upstream.ParseAllowed(entry)
		if err != nil {
			r.Report(fmt.Sprintf("allowedOrigins[%d]", i),
				"%q: %s: write a host as it stands in image names, or one with a path, such as docker.io or ghcr.io/org", entry, err)
		}
		all = append(all, allowed)
	}
	return all
}

// host returns the host as it stands in normalised references; empty where it is none.
func (r *Reader) host(path, text string) string {
	const hint = "write the host as it stands in image names, such as docker.io or reg.example:5000"
	if text == "" {
		r.Report(path, "missing: %s", hint)
		return ""
	}
	host, err := imageref.ParseHost(text)
	if err != nil {
		r.Report(path, "%s: %s", err, hint)
		return ""
	}
	return host
}

func (r *Reader) endpoint(path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text may hold a password
		r.Report(path, "not a URL: write an http:// or https:// URL")
	case u.User != nil:
		r.Report(path, "%q: write the credentials into a file that credentialsFile names", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		r.Report(path, "%q: write an http:// or https:// URL", text)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		r.Report(path, "%q: write the URL without query and fragment", text)
	}
}

// caFile returns the path of a file with certificates; it is empty where none is named.
func (r *Reader) caFile(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.Relative(file)
	content, ok := r.Readable(path, file)
	if ok && !x509.NewCertPool().AppendCertsFromPEM(content) {
		r.Report(path, "%s: no certificate in it: write the path of a PEM file", file)
	}
	return file
}

// credentialsFile returns the path of a Docker config.json; it is empty where none is named.
func (r *Reader) credentialsFile(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.Relative(file)
	content, ok := r.Readable(path, file)
	if !ok {
		return file
	}
	if _, err := docker.LoadFromReader(bytes.NewReader(content)); err != nil {
		r.Report(path, "%s: %v: write the path of a Docker config.json", file, err)
	}
	return file
}

// Readable reads a file that the configuration names, or reports that it cannot be read.
func (r *Reader) Readable(path, file string) (content []byte, ok bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		r.Report(path, "%v", err)
	}
	return content, err == nil
}

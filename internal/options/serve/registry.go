package serve

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

// registry is an entry of registries in the configuration file.
type registry struct {
	Host               string   `json:"host"`
	Endpoints          []string `json:"endpoints"`
	CAFile             string   `json:"caFile"`
	InsecureSkipVerify bool     `json:"insecureSkipVerify"`
	CredentialsFile    string   `json:"credentialsFile"`
}

func (r *reader) registries(entries []registry) []upstream.Registry {
	registries := make([]upstream.Registry, 0, len(entries))
	for i, entry := range entries {
		path := fmt.Sprintf("registries[%d]", i)
		host := r.host(path+".host", entry.Host)
		known := func(other upstream.Registry) bool { return other.Host == host }
		if host != "" && slices.ContainsFunc(registries, known) {
			r.report(path+".host", "%q: listed already: write one entry with all endpoints", entry.Host)
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

// host returns the host as it stands in normalised references; empty where it is none.
func (r *reader) host(path, text string) string {
	const hint = "write the host as it stands in image names, such as docker.io or reg.example:5000"
	if text == "" {
		r.report(path, "missing: %s", hint)
		return ""
	}
	host, err := imageref.ParseHost(text)
	if err != nil {
		r.report(path, "%s: %s", err, hint)
		return ""
	}
	return host
}

func (r *reader) endpoint(path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text may hold a password
		r.report(path, "not a URL: write an http:// or https:// URL")
	case u.User != nil:
		r.report(path, "%q: write the credentials into a file that credentialsFile names", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		r.report(path, "%q: write an http:// or https:// URL", text)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		r.report(path, "%q: write the URL without query and fragment", text)
	}
}

// caFile returns the path of a file with certificates; it is empty where none is named.
func (r *reader) caFile(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.relative(file)
	content, ok := r.readable(path, file)
	if ok && !x509.NewCertPool().AppendCertsFromPEM(content) {
		r.report(path, "%s: no certificate in it: write the path of a PEM file", file)
	}
	return file
}

// credentialsFile returns the path of a Docker config.json; it is empty where none is named.
func (r *reader) credentialsFile(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.relative(file)
	content, ok := r.readable(path, file)
	if !ok {
		return file
	}
	if _, err := docker.LoadFromReader(bytes.NewReader(content)); err != nil {
		r.report(path, "%s: %v: write the path of a Docker config.json", file, err)
	}
	return file
}

// readable reads a file that the configuration names, or reports that it cannot be read.
func (r *reader) readable(path, file string) (content []byte, ok bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		r.report(path, "%v", err)
	}
	return content, err == nil
}

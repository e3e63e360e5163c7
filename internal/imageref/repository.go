package imageref

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	hubHost      = "docker.io"
	hubNamespace = "library/" // of Docker Hub's names without an organisation
)

// Repository is a normalised repository: the host in lower case with its port, if any ("docker.io",
// "reg.example:5000", "[fd00::1]:5000"), and the path in it ("library/nginx"). It is comparable.
type Repository struct {
	Host string
	Path string
}

// String is the full form, "docker.io/library/nginx".
func (r Repository) String() string { return r.Host + "/" + r.Path }

// Short is the form people write: "nginx", "org/app" for Docker Hub; elsewhere, and where the short form would name
// something else ("docker.io/localhost/app"), the full form. ParseRepository reads it back.
func (r Repository) Short() string {
	if r.Host != hubHost {
		return r.String()
	}
	if name, ok := strings.CutPrefix(r.Path, hubNamespace); ok && !strings.Contains(name, "/") {
		if isImageID(name) {
			return r.String()
		}
		return name
	}
	if host, _ := splitHost(r.Path); host != hubHost {
		return r.String()
	}
	return r.Path
}

// Encode is the repository's path form on the wire and in the store: "docker.io/library/nginx",
// "reg.example_5000/app". ParsePath is its inverse.
func (r Repository) Encode() string { return encodeHost(r.Host) + "/" + r.Path }

// Hosts names the hosts of repositories, each once, in their order: "registry.corp, docker.io".
func Hosts(repos []Repository) string {
	if len(repos) == 1 {
		return repos[0].Host
	}
	var hosts []string
	for _, repo := range repos {
		if !slices.Contains(hosts, repo.Host) {
			hosts = append(hosts, repo.Host)
		}
	}
	return strings.Join(hosts, ", ")
}

// ParseRepository reads "docker.io/library/postgres" or "postgres": a reference without tag and digest.
func ParseRepository(s string) (Repository, error) {
	repo, err := parseName(s)
	if err != nil {
		return Repository{}, fmt.Errorf("parsing repository %q: %w", s, err)
	}
	return repo, nil
}

// ParsePath reads the wire's path form: the repository part of /v2/<name>/manifests/....
func ParsePath(name string) (Repository, error) {
	repo, err := parsePath(name)
	if err != nil {
		return Repository{}, fmt.Errorf("parsing name %q: %w", name, err)
	}
	return repo, nil
}

// ParseMirror reads the wire's mirror form: /v2/<name>/...?ns=<host[:port]>.
func ParseMirror(ns, name string) (Repository, error) {
	host, err := ParseHost(ns)
	if err != nil {
		return Repository{}, err
	}
	repo, err := newRepository(host, name)
	if err != nil {
		return Repository{}, fmt.Errorf("parsing name %q: %w", name, err)
	}
	return repo, nil
}

func parsePath(name string) (Repository, error) {
	first, rest, more := strings.Cut(name, "/")
	host, ok := decodeHost(first)
	switch {
	case strings.Contains(first, ":"):
		return Repository{}, errors.New("a port is written host_5000 in a path")
	case !ok:
		return newRepository(hubHost, name)
	case !more:
		return Repository{}, errors.New("names a host but no repository")
	}
	host, err := normaliseHost(host)
	if err != nil {
		return Repository{}, fmt.Errorf("host %q: %w", first, err)
	}
	return newRepository(host, rest)
}

// parseName reads a name as people write it in a pod.
func parseName(s string) (Repository, error) {
	if isImageID(s) {
		return Repository{}, errors.New("64 hexadecimal digits are an image ID, not a name")
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Repository{}, fmt.Errorf("leave out %s://", scheme)
	}
	written, path := splitHost(s)
	host, err := normaliseHost(written)
	if name, port, ok := cutPort(written, '_'); err != nil && ok {
		return Repository{}, fmt.Errorf("host %q: a port is written %s:%s here", written, name, port)
	}
	if err != nil {
		return Repository{}, fmt.Errorf("host %q: %w", written, err)
	}
	return newRepository(host, path)
}

// newRepository completes and checks the path; the host is normalised already.
func newRepository(host, path string) (Repository, error) {
	if host == hubHost && path != "" && !strings.Contains(path, "/") {
		path = hubNamespace + path
	}
	if err := checkPath(path); err != nil {
		return Repository{}, err
	}
	return Repository{Host: host, Path: path}, nil
}

// splitHost tells the host of a name from its path as container engines do: an upper-case letter, too, makes a host, since no
// path has one. One component alone is always a path.
func splitHost(name string) (host, path string) {
	first, rest, more := strings.Cut(name, "/")
	if !more {
		return hubHost, name
	}
	if first == localhost || strings.ContainsAny(first, ".:") || strings.ToLower(first) != first {
		return first, rest
	}
	return hubHost, name
}

func isImageID(s string) bool { return len(s) == 64 && isHex(s) }

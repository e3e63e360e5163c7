package access

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/internal/imageref"
)

// dockerHub are the names under which pull secrets know docker.io.
var dockerHub = []string{"docker.io", "index.docker.io", "registry-1.docker.io"}

// entry is a credential, and for whom it is: all repositories of a host that lie at or below a path.
//
// The library's own reader of pull secrets is not used: it fails for all secrets where one is malformed, quotes what it cannot read, lets
// the entries of one secret leak into the next, and knows docker.io by one name only.
type entry struct {
	host   string // each label may be a glob
	path   string // "" is all of the host
	config authn.AuthConfig
	from   types.NamespacedName // the secret
}

// parse reads a pull secret. The problem says why nothing of it is used, or why not all of it; it holds nothing of the content.
func parse(s *corev1.Secret) (entries []entry, problem string) {
	var auths map[string]json.RawMessage
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		var file struct {
			Auths map[string]json.RawMessage `json:"auths"`
		}
		if json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &file) != nil {
			return nil, corev1.DockerConfigJsonKey + " is no Docker config.json"
		}
		auths = file.Auths
	case corev1.SecretTypeDockercfg:
		if json.Unmarshal(s.Data[corev1.DockerConfigKey], &auths) != nil {
			return nil, corev1.DockerConfigKey + " is no .dockercfg"
		}
	default:
		return nil, fmt.Sprintf("its type must be %s or %s", corev1.SecretTypeDockerConfigJson, corev1.SecretTypeDockercfg)
	}
	for _, key := range slices.Sorted(maps.Keys(auths)) {
		e, ok := parseEntry(key, auths[key])
		if !ok {
			problem = "some of its entries cannot be read"
		} else if e.config != (authn.AuthConfig{}) {
			entries = append(entries, e)
		}
	}
	return entries, problem
}

func parseEntry(key string, content []byte) (e entry, ok bool) {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, below, _ := strings.Cut(key, "/")
	e.host, e.path = strings.ToLower(host), strings.Trim(below, "/")
	for _, version := range []string{"v1", "v2"} { // keys may be URLs of an API
		if rest, found := strings.CutPrefix(e.path+"/", version+"/"); found {
			e.path = strings.TrimSuffix(rest, "/")
			break
		}
	}
	if json.Unmarshal(content, &e.config) != nil || e.host == "" {
		return entry{}, false
	}
	if e.config.Username != "" {
		e.config.Auth = "" // says the same again
	}
	return e, true
}

// matching returns the credentials for a repository, in the order of fitting.
func matching(entries []entry, repo imageref.Repository) []authn.AuthConfig {
	fit := fitting(entries, repo)
	configs := make([]authn.AuthConfig, 0, len(fit))
	for _, e := range fit {
		configs = append(configs, e.config)
	}
	return configs
}

// fitting returns the entries for a repository: the longest path first, written hosts before globs, else in the given order.
func fitting(entries []entry, repo imageref.Repository) []entry {
	var fit []entry
	for _, e := range entries {
		if e.matches(repo) {
			fit = append(fit, e)
		}
	}
	slices.SortStableFunc(fit, func(a, b entry) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(a.globs(), b.globs()))
	})
	return fit
}

func (e entry) matches(repo imageref.Repository) bool {
	if e.path != "" && e.path != repo.Path && !strings.HasPrefix(repo.Path, e.path+"/") {
		return false
	}
	hosts := []string{repo.Host}
	if repo.Host == "docker.io" {
		hosts = dockerHub
	}
	return slices.ContainsFunc(hosts, func(host string) bool { return matchHost(e.host, host) })
}

// globs counts the globs in an entry's host.
func (e entry) globs() int {
	return strings.Count(e.host, "*") + strings.Count(e.host, "?") + strings.Count(e.host, "[")
}

// matchHost matches as kubelet does: label by label, and the port as it is.
func matchHost(glob, host string) bool {
	if glob == host {
		return true
	}
	globs, globPort := labels(glob)
	parts, port := labels(host)
	if port != globPort || len(globs) != len(parts) {
		return false
	}
	for i := range globs {
		if ok, err := path.Match(globs[i], parts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func labels(address string) (labels []string, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, ""
	}
	return strings.Split(host, "."), port
}

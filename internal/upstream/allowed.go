package upstream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
)

// Allowed is what may be an origin: a host, or of its repositories those at and below a path.
type Allowed struct {
	Host string // as it stands in references: "docker.io", "reg.example:5000"
	Path string // whole components: "library", "team/app"; empty: all
}

// ParseAllowed reads "docker.io", "ghcr.io/org" or "reg.example:5000/team/app". There are no wildcards: what may be asked is worth writing down.
func ParseAllowed(text string) (Allowed, error) {
	name, path, below := strings.Cut(text, "/")
	host, err := imageref.ParseHost(name)
	if err != nil {
		return Allowed{}, err
	}
	if _, err := imageref.ParseMirror("registry.invalid", path); below && err != nil { // a host that has no names of its own kind
		return Allowed{}, err
	}
	return Allowed{host, path}, nil
}

func (a Allowed) has(repo imageref.Repository) bool {
	return repo.Host == a.Host && (a.Path == "" || repo.Path == a.Path || strings.HasPrefix(repo.Path, a.Path+"/"))
}

// reach returns what is known of a repository's host, if the repository may be asked.
func (c *Client) reach(repo imageref.Repository) (*origin, error) {
	if len(c.allowed) > 0 && !slices.ContainsFunc(c.allowed, func(a Allowed) bool { return a.has(repo) }) {
		err := fmt.Errorf("allowedOrigins has no entry for %s", repo)
		return nil, &Error{Reason: Refused, Host: repo.Host, Credential: anonymous, Err: err}
	}
	return c.origin(repo.Host)
}

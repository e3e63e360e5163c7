// Package hooks takes what registries tell of pushes by HTTP, each in its own form and with its own proof of who it is, and has the tags
// checked that were pushed. It never goes to an address that a request names, and believes of a request no more than which tag to ask the
// origin for: what the tag is now, the origin says.
package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/larder-dev/larder/internal/imageref"
)

// most is how many pushes of one request are looked at.
const most = 100

// errPayload says that a request's body is not what its registry sends.
var errPayload = errors.New("not a notification of this registry")

// parser reads the pushes of tags of a registry's notification: none where it tells of something else. What a registry calls itself may
// be another name than pods use: as then is that, if it is not empty.
type parser func(header http.Header, body []byte, as string) ([]imageref.Reference, error)

// parsers are the registries by the last part of their hook's path.
var parsers = map[string]parser{
	"distribution": parseDistribution,
	"dockerhub":    parseDockerHub,
	"github":       parseGitHub,
	"harbor":       parseHarbor,
	"quay":         parseQuay,
}

// Sources lists the registries that are understood, in the order of their names.
func Sources() []string {
	names := make([]string, 0, len(parsers))
	for name := range parsers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return errors.Join(errPayload, err)
	}
	return nil
}

// pushes collects valid references, each once.
type pushes struct{ refs []imageref.Reference }

// add adds a tag of a repository, named with its host. A push without a tag moves none.
func (p *pushes) add(repository, tag string) error {
	if tag == "" || len(p.refs) == most {
		return nil
	}
	repo, err := imageref.ParseRepository(repository)
	if err != nil || !imageref.ValidTag(tag) {
		return fmt.Errorf("%w: it names no image", errPayload)
	}
	ref := imageref.Reference{Repository: repo, Tag: tag}
	if !slices.Contains(p.refs, ref) {
		p.refs = append(p.refs, ref)
	}
	return nil
}

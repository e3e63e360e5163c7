// Package names is what larder-proxy has to know of repositories to answer for them while no replica of the registry does: where their
// images come from, and which of their tags an origin must not be asked for. It holds the document that the registry writes and the
// proxy reads, and decides by it. It fetches and stores nothing.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
)

const (
	// Path is where a registry serves the document.
	Path = "/larder/v1/names"
	// MaxSize is how large a document may be, in bytes: some 40,000 repositories, or pins.
	MaxSize = 4 << 20
)

// Document lists the repositories of which something is to be known. One that it does not list is as its name says.
type Document struct {
	Repositories []Repository `json:"repositories"`
	// Held are those for which there was no room: no tag of them is to be taken from an origin.
	Held Held `json:"held,omitempty"`
}

// Repository is what is to be known of one repository.
type Repository struct {
	Name          string                   `json:"name"`                    // in full: docker.io/library/nginx
	Origins       []string                 `json:"origins,omitempty"`       // that are asked for it, in this order; none: itself
	ImmutableTags []string                 `json:"immutableTags,omitempty"` // expressions, as in a Repository's spec (T4)
	Pins          map[string]digest.Digest `json:"pins,omitempty"`          // by tag
}

// Encode returns a document's text. Equal documents have equal texts.
func (d Document) Encode() ([]byte, error) {
	if d.Repositories == nil {
		d.Repositories = []Repository{}
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the names: %w", err)
	}
	return text, nil
}

// ETag tells texts apart, as the header of this name does.
func ETag(text []byte) string {
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

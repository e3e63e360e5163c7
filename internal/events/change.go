package events

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/opencontainers/go-digest"
)

// Kind says what happened to an image. A CloudEvent's type is made of it: dev.larder.image.<kind>.v1.
type Kind string

// The kinds of changes.
const (
	Discovered Kind = "discovered" // a pod uses an image that Larder did not know
	Mirrored   Kind = "mirrored"   // a revision is stored whole
	Moved      Kind = "moved"      // a tag is served with another digest than before
	Pinned     Kind = "pinned"     // somebody bound a tag to a digest
	Unpinned   Kind = "unpinned"   // and let it go again
	Stale      Kind = "stale"      // what is served is not what its origin has, or its origin does not answer
	Current    Kind = "current"    // its origin confirmed it again
	Gone       Kind = "gone"       // its origin has no such image any more
	Back       Kind = "back"       // its origin has it again
	Evicted    Kind = "evicted"    // it made room: the store was larger than its limit
	Held       Kind = "held"       // its origin moved a tag that is not to move; the cached revision is served on
)

// Change is something that happened to an image. It never holds a credential: it has no text of an origin's.
type Change struct {
	Kind     Kind
	ID       string        // the same each time that this very change is told; see ID
	Image    string        // docker.io/library/postgres:15
	Digest   digest.Digest // that is served now; of an evicted image, that was
	Previous digest.Digest // that was served before
	Upstream digest.Digest // that the origin has, where it is another
	Reason   string        // a word, as conditions have it: OriginFailed
	Since    time.Time     // when what it tells began
	Bytes    int64         // that the image takes, or took
	At       time.Time     // when it was noticed
}

// ID makes the identity of a change from what tells it from all others. A receiver that has seen it has seen the change.
func ID(parts ...string) string {
	text, _ := json.Marshal(parts) // strings always can be
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// reasonOverLimit is why an image is evicted.
const reasonOverLimit = "OverLimit"

// Eviction is the change that an image is about to be removed since the store is larger than its limit. Told again before the image has
// come back, and so was checked or moved, it is the same; but for an image by digest, which never is.
func Eviction(image string, dgst digest.Digest, bytes int64, changed, checked time.Time) Change {
	if checked.IsZero() {
		checked = time.Now()
	}
	return Change{
		Kind: Evicted, Image: image, Digest: dgst, Bytes: bytes, Reason: reasonOverLimit,
		ID: ID(string(Evicted), image, string(dgst), changed.UTC().String(), checked.UTC().String()),
	}
}

const (
	typePrefix, typeSuffix = "dev.larder.image.", ".v1"

	// sequence is the CloudEvents extension by which events of one source are sorted: as text, later ones are greater.
	sequence = "sequence"
)

// data is a CloudEvent's data.
type data struct {
	Image    string        `json:"image"`
	Digest   digest.Digest `json:"digest,omitempty"`
	Previous digest.Digest `json:"previousDigest,omitempty"`
	Upstream digest.Digest `json:"upstreamDigest,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Since    *time.Time    `json:"since,omitempty"`
	Bytes    int64         `json:"bytes,omitempty"`
}

// encode makes a CloudEvent of a change, in the JSON format.
func (c Change) encode(source string, number int64) ([]byte, error) {
	e := event.New()
	e.SetID(c.ID)
	e.SetSource(source)
	e.SetType(typePrefix + string(c.Kind) + typeSuffix)
	e.SetSubject(c.Image)
	e.SetTime(c.At.UTC())
	e.SetExtension(sequence, nameOf(number))
	d := data{Image: c.Image, Digest: c.Digest, Previous: c.Previous, Upstream: c.Upstream, Reason: c.Reason, Bytes: c.Bytes}
	if !c.Since.IsZero() {
		d.Since = new(c.Since.UTC())
	}
	if err := e.SetData(event.ApplicationJSON, d); err != nil {
		return nil, fmt.Errorf("encoding the event of %s: %w", c.Image, err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encoding the event of %s: %w", c.Image, err)
	}
	return e.MarshalJSON()
}

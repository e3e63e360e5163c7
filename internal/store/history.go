package store

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Revision is one entry of a tag's history: a digest that the tag was at for some time.
type Revision struct {
	Digest     digest.Digest `json:"digest"`
	FirstSeen  time.Time     `json:"firstSeen"`           // when it became current
	LastSeen   time.Time     `json:"lastSeen"`            // when it was last confirmed to be
	CompleteAt time.Time     `json:"completeAt,omitzero"` // when it was found complete; zero: it was not
	Cause      Cause         `json:"cause,omitempty"`
}

// Cause is why a revision became current; empty where nobody knows.
type Cause string

// The causes of revisions, in the API's words.
const (
	Pulled   Cause = "Pull"   // the tag was not known, and somebody asked for it
	Checked  Cause = "Check"  // its origin said another digest
	Pinned   Cause = "Pin"    // somebody pinned the tag to it
	Unpinned Cause = "Unpin"  // a pin was removed, and this is what the origin has
	Imported Cause = "Import" // it came with an import
)

// Pin says that somebody had a tag stay at its revision, whatever its origin says. The zero value is no pin.
type Pin struct {
	By   PinOwner      `json:"by,omitempty"`
	At   time.Time     `json:"at,omitzero"`
	Over digest.Digest `json:"over,omitempty"` // the revision that the tag was at before it was pinned; empty where there was none
}

// Same says whether a pin is another one, as it may have been written and read again.
func (p Pin) Same(other Pin) bool {
	return p.By == other.By && p.At.Equal(other.At) && p.Over == other.Over
}

// PinOwner is who may change a pin.
type PinOwner string

// The owners of pins.
const (
	ByObject PinOwner = "object" // a CachedImage pins the tag
	ByHand   PinOwner = "hand"   // a person did, by a command
)

// OriginDigest is what the origin said last that the tag is; empty where it was never asked.
func (rec *TagRecord) OriginDigest() digest.Digest {
	switch {
	case rec.Upstream != "":
		return rec.Upstream
	case rec.Pin.By != "" && rec.CheckedAt.IsZero():
		return ""
	}
	return rec.Digest
}

// Followed is the revision that the tag is at by itself, beside a pin; empty where it was pinned before it was known.
func (rec *TagRecord) Followed() digest.Digest {
	if rec.Pin.By != "" {
		return rec.Pin.Over
	}
	return rec.Digest
}

// Reaches lists the revisions that a tag keeps from being swept: also those of its history, and what its origin has while the tag is pinned.
func (rec *TagRecord) Reaches() []digest.Digest {
	roots := []digest.Digest{rec.Digest}
	for _, also := range []digest.Digest{rec.Complete, rec.Upstream, rec.Pin.Over} {
		if also != "" {
			roots = append(roots, also)
		}
	}
	for _, revision := range rec.History {
		roots = append(roots, revision.Digest)
	}
	return roots
}

// oldCauses are those that the first records have.
var oldCauses = map[Cause]Cause{"pull": Pulled, "check": Checked, "import": Imported}

// modernise brings what an older Larder wrote into today's words.
func (rec *TagRecord) modernise() {
	for i := range rec.History {
		if now, old := oldCauses[rec.History[i].Cause]; old {
			rec.History[i].Cause = now
		}
	}
}

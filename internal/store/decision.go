package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// PinDecision is what was decided last of the pin of a tag: that it is pinned, or, with a zero Pin, that it is let go, and the revision that
// the tag was at from then on.
type PinDecision struct {
	Pin       Pin           `json:"pin,omitzero"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // of the manifest, in bytes
}

// DecidedBy is the decision that a record with a new pin stands for.
func DecidedBy(rec TagRecord) PinDecision {
	return PinDecision{rec.Pin, rec.Digest, rec.MediaType, rec.Size}
}

// InForce says whether a record has the pin that was decided.
func (d PinDecision) InForce(rec *TagRecord) bool { return d.Pin.Same(rec.Pin) }

// PinDecision reads what was decided last of a tag's pin, or ErrNotFound: then its record alone tells.
func (s *Store) PinDecision(ctx context.Context, repo imageref.Repository, tag string) (PinDecision, error) {
	var content []byte
	paths, err := pathsOfTag(repo, tag)
	if err == nil {
		content, err = s.read(ctx, paths.decision)
	}
	var d PinDecision
	if err == nil {
		if unreadable := json.Unmarshal(content, &d); unreadable != nil {
			s.log.Error(unreadable, "pin unreadable, going by the record", "repository", repo.String(), "tag", tag)
			err = ErrNotFound
		}
	}
	if err != nil {
		return PinDecision{}, fmt.Errorf("reading what was decided of the pin of %s:%s: %w", repo, tag, err)
	}
	return d, nil
}

// PutPinDecision writes a decision durably, in a place of its own beside the tag's record. Of replicas that write the record at the same time,
// each from what it has read, one may lose what the other wrote, and a person's word must not be among that.
func (s *Store) PutPinDecision(ctx context.Context, repo imageref.Repository, tag string, d PinDecision) error {
	paths, err := pathsOfTag(repo, tag)
	if err == nil {
		content, _ := json.Marshal(d) // it holds texts and times
		defer s.gate.pass(repo)()
		err = s.writer.put(ctx, paths.decision, content)
	}
	if err != nil {
		return fmt.Errorf("writing what was decided of the pin of %s:%s: %w", repo, tag, err)
	}
	return nil
}

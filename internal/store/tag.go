package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// TagRecord is what we know of a tag.
type TagRecord struct {
	Digest    digest.Digest `json:"digest"`              // the revision that is served
	MediaType string        `json:"mediaType"`           // of that revision
	Size      int64         `json:"size"`                // of that revision's manifest, in bytes
	Complete  digest.Digest `json:"complete,omitempty"`  // the last complete revision; equals Digest when that is complete
	Platforms []string      `json:"platforms,omitempty"` // os/arch[/variant] that the revision before had; what a complete one needs
	CheckedAt time.Time     `json:"checkedAt"`           // the last answered check
	ChangedAt time.Time     `json:"changedAt"`
	PulledAt  time.Time     `json:"pulledAt"`           // coarse (an hour); zero: never, or not since it was removed
	Untagged  bool          `json:"untagged,omitempty"` // a tombstone: served only where the origin fails
	Evicted   bool          `json:"evicted,omitempty"`  // a tombstone of an image that made room: see SweepOptions.Remembers
	History   []Revision    `json:"history,omitempty"`  // newest first, the current one included
	Upstream  digest.Digest `json:"upstream,omitempty"` // what the origin said last, where something holds the tag at another revision
	Pin       Pin           `json:"pin,omitzero"`       // why the tag stays at Digest
}

// Tag reads a tag record, or ErrNotFound. A tag that another registry wrote has a record with Digest alone.
func (s *Store) Tag(ctx context.Context, repo imageref.Repository, tag string) (TagRecord, error) {
	rec, err := s.readTag(ctx, repo, tag)
	if err != nil {
		return TagRecord{}, fmt.Errorf("reading tag %s:%s: %w", repo, tag, err)
	}
	return rec, nil
}

func (s *Store) readTag(ctx context.Context, repo imageref.Repository, tag string) (TagRecord, error) {
	paths, err := pathsOfTag(repo, tag)
	if err != nil {
		return TagRecord{}, err
	}
	_, mark, _ := s.tagged.get(paths.record)
	content, err := s.read(ctx, paths.record)
	if errors.Is(err, ErrNotFound) {
		return s.foreignTag(ctx, repo, tag, paths)
	}
	if err != nil {
		return TagRecord{}, err
	}
	var rec TagRecord
	if err := json.Unmarshal(content, &rec); err != nil {
		s.log.Error(err, "tag record unreadable, going by its link", "repository", repo.String(), "tag", tag)
		return s.foreignTag(ctx, repo, tag, paths)
	}
	rec.modernise()
	if !rec.Untagged { // the links are written before the record
		s.tagged.fill(paths.record, rec.Digest, mark)
	}
	return rec, nil
}

// readForeignTag reads distribution's link of a tag. One that cannot be parsed is as good as missing.
func (s *Store) readForeignTag(ctx context.Context, link string) (TagRecord, error) {
	content, err := s.read(ctx, link)
	if err != nil {
		return TagRecord{}, err
	}
	dgst, err := imageref.ParseDigest(string(content))
	if err != nil {
		return TagRecord{}, ErrNotFound
	}
	return TagRecord{Digest: dgst}, nil
}

// PutTag writes a tag record durably, after distribution's own tag links. The record of an untagged tag stays; its links
// go, so that no other registry lists it.
func (s *Store) PutTag(ctx context.Context, repo imageref.Repository, tag string, rec TagRecord) error {
	if err := s.putTag(ctx, repo, tag, rec); err != nil {
		return fmt.Errorf("writing tag %s:%s: %w", repo, tag, err)
	}
	return nil
}

func (s *Store) putTag(ctx context.Context, repo imageref.Repository, tag string, rec TagRecord) error {
	paths, err := pathsOfTag(repo, tag)
	if err != nil {
		return err
	}
	if _, err := imageref.ParseDigest(rec.Digest.String()); err != nil {
		return err
	}
	content, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	defer s.gate.pass(repo)()
	defer s.writing.lock(paths.record)()
	was, _, known := s.tagged.get(paths.record)
	if rec.Untagged || known && was == rec.Digest && rec.Upstream == "" && rec.Pin.By == "" {
		return s.writeTag(ctx, paths, rec, content) // nothing is reachable then that was not
	}
	before, err := s.beforeWrite(ctx)
	if err != nil {
		return err
	}
	if err := s.writeTag(ctx, paths, rec, content); err != nil {
		return err
	}
	return s.heed(ctx, before, paths.record)
}

func (s *Store) writeTag(ctx context.Context, paths tagPaths, rec TagRecord, content []byte) error {
	if err := s.linkTag(ctx, paths, rec); err != nil {
		return err
	}
	return s.writer.put(ctx, paths.record, content)
}

// linkTag makes distribution's links say what a record says.
func (s *Store) linkTag(ctx context.Context, paths tagPaths, rec TagRecord) error {
	if rec.Untagged {
		s.tagged.wrote(paths.record, "")
		return s.unlinkTag(ctx, paths)
	}
	// A request to object storage saved; on a disk they are looked at: a hand may have removed them.
	if known, _, ok := s.tagged.get(paths.record); ok && known == rec.Digest && s.remote {
		return nil
	}
	if err := s.writeTagLinks(ctx, paths, rec.Digest); err != nil {
		return err
	}
	s.tagged.wrote(paths.record, rec.Digest)
	return nil
}

// writeTagLinks writes links where they say anything else; most records are written for their times alone.
func (s *Store) writeTagLinks(ctx context.Context, paths tagPaths, dgst digest.Digest) error {
	content, err := s.read(ctx, paths.current)
	if err == nil && string(content) == dgst.String() {
		return s.writer.settle(paths.current)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := s.writer.put(ctx, paths.index(dgst), []byte(dgst)); err != nil {
		return err
	}
	return s.writer.put(ctx, paths.current, []byte(dgst))
}

func (s *Store) unlinkTag(ctx context.Context, paths tagPaths) error {
	if err := fromDriver(s.driver.Delete(ctx, paths.folder)); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("removing links: %w", err)
	}
	return nil
}

// Tags lists the tags of repo that have a record or another registry's link, in lexical order: tombstones too. A crash may
// leave the folder of a tag without either; it is listed, and Tag says ErrNotFound.
func (s *Store) Tags(ctx context.Context, repo imageref.Repository) ([]string, error) {
	folders, err := roots(repo)
	if err != nil {
		return nil, fmt.Errorf("listing tags: %w", err)
	}
	var tags []string
	for _, root := range folders {
		for _, below := range []string{"_larder/tags", "_manifests/tags"} {
			names, err := s.list(ctx, path.Join(root, below))
			if err != nil {
				return nil, fmt.Errorf("listing tags of %s: %w", repo, err)
			}
			tags = append(tags, names...)
		}
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	return slices.DeleteFunc(tags, func(tag string) bool { return !imageref.ValidTag(tag) }), nil
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// linkEntries bounds the links that are remembered in memory; one takes some hundred bytes.
const linkEntries = 16 << 10

type linkKey struct {
	repository imageref.Repository
	kind       kind
	digest     digest.Digest
}

// path is distribution's link, which stands for the whole among a sweep's candidates.
func (k linkKey) path() string {
	link, _, _ := linkPaths(k.repository, k.kind, k.digest) // errs for what nobody can have linked
	return link
}

// linkRecord is what Larder keeps of a link beside distribution's, which is the digest alone.
type linkRecord struct {
	Size      int64  `json:"size"`
	MediaType string `json:"mediaType"`
}

// LinkBlob says durably that the blob desc (Digest, Size, MediaType) belongs to repo. Link first, then check that the
// blob exists: the sweep re-reads links just before it deletes. LinkBlob itself does not look for the blob. What was
// linked before keeps its media type.
func (s *Store) LinkBlob(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) error {
	defer s.gate.passLink(desc.Digest)()
	if err := s.link(ctx, linkKey{repo, blobLink, desc.Digest}, linkRecord{desc.Size, desc.MediaType}); err != nil {
		return fmt.Errorf("linking blob %s in %s: %w", desc.Digest, repo, err)
	}
	return nil
}

// LinkedBlob returns the descriptor under which a blob was linked in repo (Size -1 where a registry other than Larder wrote
// the link), or ErrNotFound. A link does not say that the blob is there.
func (s *Store) LinkedBlob(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, error) {
	return s.linked(ctx, linkKey{repo, blobLink, dgst})
}

// LinkedManifest is LinkedBlob for manifests.
func (s *Store) LinkedManifest(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, error) {
	return s.linked(ctx, linkKey{repo, manifestLink, dgst})
}

func (s *Store) linked(ctx context.Context, key linkKey) (ocispec.Descriptor, error) {
	desc, mark, ok := s.links.get(key)
	if s.isDoomed(ctx, key.path) {
		return ocispec.Descriptor{}, fmt.Errorf("the link of %s in %s is being swept: %w", key.digest, key.repository, ErrNotFound)
	}
	if ok {
		return desc, nil
	}
	link, record, err := linkPaths(key.repository, key.kind, key.digest)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("reading a link: %w", err)
	}
	rec, err := s.readLinkRecord(ctx, record)
	if errors.Is(err, ErrNotFound) {
		rec, err = s.foreignLink(ctx, key, link)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("reading the link of %s in %s: %w", key.digest, key.repository, err)
	}
	desc = ocispec.Descriptor{Digest: key.digest, Size: rec.Size, MediaType: rec.MediaType}
	s.links.fill(key, desc, mark)
	return desc, nil
}

// readLinkRecord reads Larder's own part of a link. What cannot be parsed is as good as missing.
func (s *Store) readLinkRecord(ctx context.Context, path string) (linkRecord, error) {
	content, err := s.read(ctx, path)
	if err != nil {
		return linkRecord{}, err
	}
	var rec linkRecord
	if json.Unmarshal(content, &rec) != nil {
		return linkRecord{}, ErrNotFound
	}
	return rec, nil
}

// readForeignLink reads a link that another registry wrote: the digest alone.
func (s *Store) readForeignLink(ctx context.Context, path string, dgst digest.Digest) (linkRecord, error) {
	content, err := s.read(ctx, path)
	if err != nil {
		return linkRecord{}, err
	}
	if string(content) != dgst.String() {
		return linkRecord{}, ErrNotFound
	}
	return linkRecord{Size: -1}, nil
}

// link writes distribution's link and then Larder's record, so that a record tells that both are there. What is there already
// is looked at on the disk, not in memory: it may have been removed by hand.
func (s *Store) link(ctx context.Context, key linkKey, want linkRecord) error {
	link, record, err := linkPaths(key.repository, key.kind, key.digest)
	if err != nil {
		return err
	}
	defer s.writing.lock(record)()
	want, current, err := s.compare(ctx, link, record, want)
	if err != nil {
		return err
	}
	if current {
		err = s.writer.settle(record)
	} else {
		err = s.writeLink(ctx, link, record, key.digest, want)
	}
	if err != nil {
		return err
	}
	s.links.wrote(key, ocispec.Descriptor{Digest: key.digest, Size: want.Size, MediaType: want.MediaType})
	return nil
}

// compare completes a link with what was known of it before, and says whether it is written as it should be.
func (s *Store) compare(ctx context.Context, link, record string, want linkRecord) (linkRecord, bool, error) {
	have, err := s.readLinkRecord(ctx, record)
	if errors.Is(err, ErrNotFound) {
		return want, false, nil
	}
	if err != nil {
		return want, false, err
	}
	if want.Size < 0 {
		want.Size = have.Size
	}
	// Two manifests may name one blob by different media types: the first stays, or they would rewrite it in turns.
	if have.MediaType != "" && have.Size == want.Size {
		want.MediaType = have.MediaType
	}
	if have != want {
		return want, false, nil
	}
	there, err := s.exists(ctx, link)
	return want, there, err
}

func (s *Store) writeLink(ctx context.Context, link, record string, dgst digest.Digest, rec linkRecord) error {
	if err := s.writer.put(ctx, link, []byte(dgst)); err != nil {
		return err
	}
	content, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return s.writer.put(ctx, record, content)
}

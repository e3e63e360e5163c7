package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var errManifestSize = fmt.Errorf("the manifest is larger than %d bytes", manifest.MaxSize)

// ReadManifest reads a manifest linked in repo whole and verifies its digest.
func (s *Store) ReadManifest(ctx context.Context, repo imageref.Repository, dgst digest.Digest) ([]byte, ocispec.Descriptor, error) {
	desc, err := s.LinkedManifest(ctx, repo, dgst)
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	body, err := s.ReadBlob(ctx, dgst)
	if err != nil {
		return nil, ocispec.Descriptor{}, fmt.Errorf("reading manifest %s: %w", dgst, err)
	}
	desc.Size = int64(len(body))
	if desc.MediaType == "" {
		desc.MediaType = manifest.MediaType(body)
	}
	return body, desc, nil
}

// ReadBlob reads a blob of a manifest's size at most whole and verifies its digest; a damaged one is removed, and ErrNotFound.
func (s *Store) ReadBlob(ctx context.Context, dgst digest.Digest) ([]byte, error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return nil, err
	}
	reader, err := s.driver.Reader(ctx, blobPath(dgst), 0)
	if err != nil {
		return nil, fromDriver(err)
	}
	defer reader.Close()
	body, err := io.ReadAll(io.LimitReader(reader, manifest.MaxSize+1))
	if err != nil {
		return nil, fromDriver(err)
	}
	if len(body) <= manifest.MaxSize && dgst.Algorithm().FromBytes(body) == dgst {
		return body, nil
	}
	if err := s.examine(ctx, dgst); !errors.Is(err, ErrNotFound) || len(body) <= manifest.MaxSize {
		return nil, err
	}
	return nil, s.tooLarge(ctx, dgst)
}

// tooLarge tells a blob that is intact and no manifest from one that was damaged and is gone.
func (s *Store) tooLarge(ctx context.Context, dgst digest.Digest) error {
	if _, err := s.state(ctx, dgst); err != nil {
		return err
	}
	return errManifestSize
}

// PutManifest stores a manifest durably: its bytes first, then its link in repo. The body must have the descriptor's digest.
func (s *Store) PutManifest(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, body []byte) error {
	if err := s.putManifest(ctx, repo, desc, body); err != nil {
		return fmt.Errorf("storing manifest %s in %s: %w", desc.Digest, repo, err)
	}
	return nil
}

func (s *Store) putManifest(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, body []byte) error {
	if _, err := imageref.ParseDigest(desc.Digest.String()); err != nil {
		return err
	}
	if len(body) > manifest.MaxSize {
		return errManifestSize
	}
	if actual := desc.Digest.Algorithm().FromBytes(body); actual != desc.Digest {
		return fmt.Errorf("the body's digest is %s", actual)
	}
	defer s.gate.pass(repo)()
	before, err := s.beforeWrite(ctx)
	if err != nil {
		return err
	}
	if err := s.putBody(ctx, desc.Digest, body); err != nil {
		return err
	}
	key := linkKey{repo, manifestLink, desc.Digest}
	if err := s.link(ctx, key, linkRecord{int64(len(body)), desc.MediaType}); err != nil {
		return err
	}
	return s.heed(ctx, before, blobPath(desc.Digest), key.path())
}

// putBody writes a manifest's blob where it is not there in its full size.
func (s *Store) putBody(ctx context.Context, dgst digest.Digest, body []byte) error {
	dest := blobPath(dgst)
	defer s.writing.lock(dest)()
	state, err := s.state(ctx, dgst)
	if err == nil && state.size == int64(len(body)) {
		return s.writer.settle(dest)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return s.writer.put(ctx, dest, body)
}

// Manifests calls fn for each manifest linked in repo until fn returns an error.
func (s *Store) Manifests(ctx context.Context, repo imageref.Repository, fn func(digest.Digest) error) error {
	folders, err := roots(repo)
	if err != nil {
		return fmt.Errorf("listing manifests: %w", err)
	}
	if len(folders) > 1 {
		fn = once(fn)
	}
	for _, root := range folders {
		for _, algorithm := range algorithms {
			if err := s.revisions(ctx, revisionsPath(root, algorithm), algorithm, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// revisions skips folders without a link: another registry leaves them behind when it deletes a manifest.
func (s *Store) revisions(ctx context.Context, folder string, algorithm digest.Algorithm, fn func(digest.Digest) error) error {
	names, err := s.list(ctx, folder)
	if err != nil {
		return fmt.Errorf("listing manifests: %w", err)
	}
	for _, name := range names {
		dgst, err := imageref.ParseDigest(digest.NewDigestFromEncoded(algorithm, name).String())
		if err != nil {
			continue
		}
		there, err := s.exists(ctx, path.Join(folder, name, "link"))
		if err != nil {
			return fmt.Errorf("listing manifests: %w", err)
		}
		if !there {
			continue
		}
		if err := fn(dgst); err != nil {
			return err
		}
	}
	return nil
}

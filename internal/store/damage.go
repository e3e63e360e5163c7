package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// intactEntries bounds how many blobs are remembered as intact though somebody expected another size.
const intactEntries = 1024

// fileState tells one content of a path from the next.
type fileState struct {
	size    int64
	changed time.Time
}

func (f fileState) equal(g fileState) bool { return f.size == g.size && f.changed.Equal(g.changed) }

func (s *Store) state(ctx context.Context, dgst digest.Digest) (fileState, error) {
	if s.isDoomed(ctx, func() string { return blobPath(dgst) }) {
		return fileState{}, ErrNotFound
	}
	info, err := s.driver.Stat(ctx, blobPath(dgst))
	if err != nil {
		return fileState{}, fromDriver(err)
	}
	if info.IsDir() {
		return fileState{}, ErrNotFound
	}
	return fileState{info.Size(), info.ModTime()}, nil
}

// examine reads a blob that looked damaged, and removes and reports it if its digest agrees. It returns ErrNotFound, or
// why it could not tell.
func (s *Store) examine(ctx context.Context, dgst digest.Digest) error {
	seen, err := s.state(ctx, dgst)
	if err != nil {
		return err
	}
	if known, ok := s.intact.Get(dgst); ok && known.equal(seen) {
		return ErrNotFound
	}
	intact, err := s.verify(ctx, dgst)
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	if intact {
		s.intact.Add(dgst, seen)
		return ErrNotFound
	}
	return s.condemn(ctx, dgst, seen)
}

// verify says whether the content of a blob has its digest.
func (s *Store) verify(ctx context.Context, dgst digest.Digest) (bool, error) {
	reader, err := s.driver.Reader(ctx, blobPath(dgst), 0)
	if err != nil {
		return false, fromDriver(err)
	}
	defer reader.Close()
	verifier := dgst.Verifier()
	if _, err := io.Copy(verifier, interruptible{ctx, reader}); err != nil {
		return false, err
	}
	return verifier.Verified(), nil
}

// condemn removes a damaged blob, unless another content has taken its place since it was seen. It returns ErrNotFound.
func (s *Store) condemn(ctx context.Context, dgst digest.Digest, seen fileState) error {
	if s.spools.readOnly {
		return ErrNotFound // its owner will see it
	}
	path := blobPath(dgst)
	defer s.writing.lock(path)()
	now, err := s.state(ctx, dgst)
	if err != nil {
		return err
	}
	if !now.equal(seen) {
		return ErrNotFound
	}
	// The file alone: its folder is known to be durable, the repaired blob will need it.
	if err := fromDriver(s.driver.Delete(ctx, path)); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("removing a damaged blob: %w", err)
	}
	s.log.Error(nil, "damaged blob removed", "digest", dgst.String(), "size", seen.size)
	s.onDamage(dgst)
	return ErrNotFound
}

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// Blob is an open stored blob.
type Blob struct {
	File *os.File // where the driver is the local file system: for sendfile; else nil
	Size int64
	io.ReadSeekCloser
}

// OpenBlob opens a blob. size is what it must have, or < 0 where that is not known; a blob of another size is
// damaged: it is removed, reported, and ErrNotFound. Where its digest proves that the size is wrong and not the blob, that
// is ErrNotFound too, but the blob stays: a manifest with a false size must not remove what others use.
func (s *Store) OpenBlob(ctx context.Context, dgst digest.Digest, size int64) (*Blob, error) {
	blob, err := s.open(ctx, dgst)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", dgst, err)
	}
	if size >= 0 && blob.Size != size {
		_ = blob.Close()
		return nil, fmt.Errorf("opening blob %s: %d bytes instead of %d: %w", dgst, blob.Size, size, s.examine(ctx, dgst))
	}
	return blob, nil
}

func (s *Store) open(ctx context.Context, dgst digest.Digest) (*Blob, error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return nil, err
	}
	if _, local := s.writer.(*disk); !local {
		return s.openObject(ctx, dgst)
	}
	reader, err := s.driver.Reader(ctx, blobPath(dgst), 0)
	if err != nil {
		return nil, fromDriver(err)
	}
	return fileBlob(reader)
}

// fileBlob relies on the filesystem driver's readers being files.
func fileBlob(reader io.ReadCloser) (*Blob, error) {
	file, ok := reader.(*os.File)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver gave a %T, not a file", reader), reader.Close())
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = ErrNotFound
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Blob{File: file, Size: info.Size(), ReadSeekCloser: file}, nil
}

func (s *Store) openObject(ctx context.Context, dgst digest.Digest) (*Blob, error) {
	size, err := s.stat(ctx, dgst)
	if err != nil {
		return nil, err
	}
	return &Blob{Size: size, ReadSeekCloser: &objectReader{ctx: ctx, driver: s.driver, path: blobPath(dgst), size: size}}, nil
}

// StatBlob returns the size of a stored blob, or ErrNotFound.
func (s *Store) StatBlob(ctx context.Context, dgst digest.Digest) (int64, error) {
	size, err := s.stat(ctx, dgst)
	if err != nil {
		return 0, fmt.Errorf("looking for blob %s: %w", dgst, err)
	}
	return size, nil
}

func (s *Store) stat(ctx context.Context, dgst digest.Digest) (int64, error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return 0, err
	}
	state, err := s.state(ctx, dgst)
	return state.size, err
}

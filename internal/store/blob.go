package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	if s.remote {
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

// OpenBlobAt is OpenBlob for who reads from offset on, at once. Where size is known that is a single request to object storage: that an
// object there is shorter, which only a hand can have done, shows in its end, io.ErrUnexpectedEOF, and it is removed then.
func (s *Store) OpenBlobAt(ctx context.Context, dgst digest.Digest, size, offset int64) (*Blob, error) {
	if !s.remote || size < 0 || offset >= size {
		return s.openAndSeek(ctx, dgst, size, offset)
	}
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	r := s.objectReader(ctx, dgst, size)
	r.offset = offset
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", dgst, err)
	}
	return &Blob{Size: size, ReadSeekCloser: r}, nil
}

func (s *Store) openAndSeek(ctx context.Context, dgst digest.Digest, size, offset int64) (*Blob, error) {
	blob, err := s.OpenBlob(ctx, dgst, size)
	if err != nil || offset == 0 {
		return blob, err
	}
	if _, err := blob.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("opening blob %s: %w", dgst, err), blob.Close())
	}
	return blob, nil
}

// BlobURL returns where a client may get a stored blob by itself for some minutes; empty where the storage has no such thing. It does not
// look for the blob.
func (s *Store) BlobURL(ctx context.Context, dgst digest.Digest) (string, error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil) // all that drivers read of it is the method
	if err != nil {
		return "", err
	}
	url, err := s.driver.RedirectURL(request, blobPath(dgst))
	if err != nil {
		return "", fmt.Errorf("signing the address of blob %s: %w", dgst, fromDriver(err))
	}
	return url, nil
}

func (s *Store) objectReader(ctx context.Context, dgst digest.Digest, size int64) *objectReader {
	return &objectReader{
		ctx: ctx, driver: s.driver, path: blobPath(dgst), size: size,
		onShort: func() { _ = s.examine(ctx, dgst) }, // its reader is told that it is short
	}
}

func (s *Store) openObject(ctx context.Context, dgst digest.Digest) (*Blob, error) {
	size, err := s.stat(ctx, dgst)
	if err != nil {
		return nil, err
	}
	return &Blob{Size: size, ReadSeekCloser: s.objectReader(ctx, dgst, size)}, nil
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

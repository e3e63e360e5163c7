package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

var errSeek = errors.New("seeking outside the blob")

// objectReader reads an object from any offset. It asks for the bytes when the first is read, so that a Seek right after
// opening costs nothing. The context is that of the request in which the blob was opened.
type objectReader struct {
	ctx    context.Context
	driver storagedriver.StorageDriver
	path   string
	size   int64
	offset int64
	body   io.ReadCloser // nil: to be opened at offset

	onShort func() // called where the object ends before size
}

func (r *objectReader) Read(p []byte) (int, error) {
	if r.offset >= r.size {
		return 0, io.EOF
	}
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.body.Read(p)
	r.offset += int64(n)
	if err == io.EOF && r.offset < r.size {
		r.onShort()
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// open asks for the bytes from the offset on.
func (r *objectReader) open() error {
	body, err := r.driver.Reader(r.ctx, r.path, r.offset)
	if err != nil {
		return fmt.Errorf("reading an object: %w", fromDriver(err))
	}
	r.body = body
	return nil
}

func (r *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errSeek
	}
	if offset == r.offset {
		return offset, nil
	}
	r.offset = offset
	return offset, r.Close()
}

// Close may be followed by another Read, as Seek needs it.
func (r *objectReader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}

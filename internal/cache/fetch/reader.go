package fetch

import (
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Reader delivers a blob, or a part of it, while it arrives. One goroutine uses it.
type Reader struct {
	Descriptor ocispec.Descriptor // of the whole blob
	Offset     int64              // where this reader starts
	Length     int64              // how many bytes it delivers; < 0: not known (an origin that does not tell the size)
	How        How

	body body
}

type body interface {
	io.WriterTo
	io.Closer
}

// newReader returns the reader of [start, end) of the blob desc; an end < 0 is not known.
func newReader(desc ocispec.Descriptor, start, end int64, how How, b body) *Reader {
	r := &Reader{Descriptor: desc, Offset: start, Length: -1, How: how, body: b}
	if end >= 0 {
		r.Length = end - start
	}
	return r
}

// WriteTo sends the bytes to w as they arrive, by sendfile where w allows it; the final byte only after verification.
// An error before the last byte means that the client must see a broken connection. Its waits end with the context of Open, too.
// Where w has a method Flush or FlushError, that is called before each wait.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.body == nil {
		return 0, io.ErrClosedPipe
	}
	return r.body.WriteTo(w)
}

// Close gives the reader up; the fetch goes on (B2). It may be called more than once.
func (r *Reader) Close() error {
	if r.body == nil {
		return nil
	}
	b := r.body
	r.body = nil
	return b.Close()
}

// flush sends what w buffers, so that no client waits for bytes that are here.
func flush(w io.Writer) {
	switch f := w.(type) {
	case interface{ FlushError() error }:
		_ = f.FlushError() // a connection that is broken shows when the next bytes are sent
	case interface{ Flush() }:
		f.Flush()
	}
}

package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxRetryAfter bounds how far an origin's Retry-After stretches the pause before an attempt to resume.
const maxRetryAfter = 5 * time.Second

// source reads a blob, or a part of it, from its origin: across broken connections (B3), and verified (B4).
type source struct {
	m         *Manager
	repo      imageref.Repository
	desc      ocispec.Descriptor
	size      int64           // of the whole blob; < 0: not known
	offset    int64           // of the next byte
	end       int64           // one past the last byte to read; < 0: not known
	verifier  digest.Verifier // nil: a part, which nothing can verify
	mediaType string          // as the origin gave it
	from      string          // the host that sent bytes last; empty: none yet
	conn      *connection     // nil between two connections
	barren    int             // connections in a row that brought no byte
	broken    error           // why the last one ended
	ended     error           // what read returned last, if that was an error
}

// newSource returns the source of a whole blob.
func newSource(m *Manager, repo imageref.Repository, desc ocispec.Descriptor) *source {
	return &source{m: m, repo: repo, desc: desc, size: desc.Size, end: desc.Size, verifier: desc.Digest.Verifier()}
}

// newPart returns the source of the part [start, end) of a blob, which is not verified.
func newPart(m *Manager, repo imageref.Repository, desc ocispec.Descriptor, start, end int64) *source {
	return &source{m: m, repo: repo, desc: desc, size: desc.Size, offset: start, end: end}
}

// connect asks the origin for the bytes from offset on, once, and checks what it says of their place.
func (s *source) connect(ctx context.Context) error {
	length := int64(-1)
	if s.end < s.size {
		length = s.end - s.offset
	}
	c, err := s.dial(ctx, length)
	if err == nil {
		if err = s.accept(c.blob); err != nil {
			c.close()
		}
	}
	if err != nil {
		s.m.outcome(ctx, s.repo, err)
		return err
	}
	s.conn, s.mediaType, s.from = c, c.blob.MediaType, c.blob.Host
	return nil
}

// accept checks a blob's place and size; a size that was not known is now.
func (s *source) accept(b *upstream.Blob) error {
	switch {
	case b.Offset != s.offset && b.Offset != 0:
		return &upstream.Error{Reason: upstream.Invalid, Host: b.Host,
			Err: fmt.Errorf("the origin answers from byte %d, asked for %d", b.Offset, s.offset)}
	case b.Size >= 0 && s.size >= 0 && b.Size != s.size:
		return s.m.mismatch(b.Host, "the origin has %d bytes, expected %d", b.Size, s.size)
	case s.size < 0 && b.Size >= 0:
		s.size, s.end = b.Size, b.Size
	}
	return nil
}

// read reads the next bytes. io.EOF says that the last one was read before, and that all are verified.
func (s *source) read(ctx context.Context, p []byte) (int, error) {
	if s.ended != nil {
		return 0, s.ended
	}
	n, err := s.next(ctx, p)
	s.ended = err
	return n, err
}

func (s *source) next(ctx context.Context, p []byte) (int, error) {
	for !s.complete() {
		if s.conn == nil {
			if err := s.resume(ctx); err != nil {
				return 0, err
			}
		}
		skipping := s.conn.at < s.offset
		n, err := s.conn.read(s.window(p))
		switch {
		case n > 0 && !skipping:
			return s.take(ctx, p[:n])
		case err == nil:
		case s.isEnd(err):
			s.size, s.end = s.offset, s.offset
		default:
			if err := s.lose(ctx, err); err != nil {
				return 0, err
			}
		}
	}
	return 0, s.finish(ctx)
}

// host is the origin that sends, or sent last.
func (s *source) host() string { return cmp.Or(s.from, s.m.origin.Place(s.repo)) }

func (s *source) complete() bool { return s.end >= 0 && s.offset >= s.end }

// window is the part of p to read into: not beyond a part's end, nor, while an answer from byte 0 is skipped forward, beyond
// what is known already.
func (s *source) window(p []byte) []byte {
	limit := int64(len(p))
	if s.conn.at < s.offset {
		limit = min(limit, s.offset-s.conn.at)
	} else if s.end < s.size {
		limit = min(limit, s.end-s.offset)
	}
	return p[:limit]
}

// take accounts for bytes that arrived.
func (s *source) take(ctx context.Context, p []byte) (int, error) {
	s.offset += int64(len(p))
	s.conn.fed, s.barren = true, 0
	if s.size >= 0 && s.offset > s.size {
		return 0, s.drop(ctx, s.m.mismatch(s.host(), "the origin sends more than %d bytes", s.size))
	}
	if s.verifier != nil {
		_, _ = s.verifier.Write(p) // a hash never fails
	}
	return len(p), nil
}

// isEnd says whether err ends a body whose size nobody knew: a proper end, or bytes that are the blob already.
func (s *source) isEnd(err error) bool {
	return s.size < 0 && (errors.Is(err, io.EOF) || s.verifier != nil && s.verifier.Verified())
}

// lose gives a connection up that ended early. It returns an error where that cannot be mended by another one.
func (s *source) lose(ctx context.Context, err error) error {
	if errors.Is(err, io.EOF) {
		if s.conn.blob.Size < 0 {
			return s.drop(ctx, s.m.mismatch(s.host(), "the origin sends %d bytes, expected %d", s.offset, s.size))
		}
		err = io.ErrUnexpectedEOF
	}
	if !s.conn.fed {
		s.barren++
	}
	s.conn.blob.Doubt()
	s.broken = s.drop(ctx, s.failure(ctx, s.conn, err))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// finish verifies what was read, and returns io.EOF if it is right.
func (s *source) finish(ctx context.Context) error {
	if err := s.verify(); err != nil {
		return s.drop(ctx, err)
	}
	_ = s.drop(ctx, nil)
	return io.EOF
}

func (s *source) verify() error {
	if s.verifier == nil {
		return nil
	}
	// Where the origin did not tell its size, only its end says that nothing follows.
	if s.conn != nil && s.conn.blob.Size < 0 {
		if n, _ := s.conn.read(make([]byte, 1)); n > 0 {
			return s.m.mismatch(s.host(), "the origin sends more than %d bytes", s.size)
		}
	}
	if !s.verifier.Verified() {
		return s.m.mismatch(s.host(), "the origin's bytes do not have the digest %s", s.desc.Digest)
	}
	return nil
}

// drop ends the connection, if there is one, reports err (nil: it delivered) as what came of it, and returns err.
func (s *source) drop(ctx context.Context, err error) error {
	if s.conn != nil {
		s.m.outcome(ctx, s.repo, err)
		s.close()
	}
	return err
}

// close gives the connection up, if there is one.
func (s *source) close() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

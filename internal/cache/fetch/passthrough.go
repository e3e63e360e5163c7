package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The reasons for which an answer streams through.
const (
	passNoRoom = "no_room"
	passRange  = "range"
)

var passBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// passThrough streams from the origin to one client. Nothing is stored.
type passThrough struct {
	src    *source
	read   func(p []byte) (int, error) // src's, bounded by the client's context and the manager's life
	cancel context.CancelFunc
}

// connected returns a stream of src after the origin answered. Nothing of an empty blob could be held back: it is verified here.
func (m *Manager) connected(ctx context.Context, src *source) (*passThrough, error) {
	ctx, cancel := m.bind(ctx)
	err := src.connect(ctx)
	if err == nil && src.complete() {
		if _, err = src.read(ctx, nil); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("streaming blob %s of %s: %w", src.desc.Digest, src.repo, err)
	}
	return newPassThrough(ctx, src, cancel), nil
}

func newPassThrough(ctx context.Context, src *source, cancel context.CancelFunc) *passThrough {
	return &passThrough{src: src, cancel: cancel, read: func(p []byte) (int, error) { return src.read(ctx, p) }}
}

// streamUnstored answers from the origin what the store has no room for (B7).
func (m *Manager) streamUnstored(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, rng Range) (*Reader, error) {
	desc, err := m.sized(ctx, repo, desc, rng)
	if err != nil {
		return nil, err
	}
	start, end, err := rng.Resolve(desc.Size)
	if err != nil {
		return &Reader{Descriptor: desc}, err
	}
	src := newSource(m, repo, desc)
	if start > 0 || end < desc.Size {
		src = newPart(m, repo, desc, start, end)
	}
	p, err := m.connected(ctx, src)
	if err != nil {
		return nil, err
	}
	m.metrics.PassThrough.WithLabelValues(passNoRoom).Inc()
	desc.Size = src.size
	if desc.MediaType == "" {
		desc.MediaType = src.mediaType
	}
	return newReader(desc, start, src.end, PassThrough, p), nil
}

// sized completes a descriptor without a size where a range needs one, as far as the origin tells it.
func (m *Manager) sized(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, rng Range) (ocispec.Descriptor, error) {
	if !rng.Partial || desc.Size >= 0 {
		return desc, nil
	}
	found, err := m.origin.ResolveBlob(ctx, repo, desc.Digest)
	m.outcome(ctx, repo, err)
	if err != nil {
		return desc, fmt.Errorf("streaming blob %s of %s: %w", desc.Digest, repo, err)
	}
	desc.Size = found.Size
	return desc, nil
}

// streamAhead answers a range far ahead of the transfer by a request of its own (B8). It returns nil where the origin does not
// give just that range: then the range joins the transfer.
func (m *Manager) streamAhead(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, start, end int64) *Reader {
	src := newPart(m, repo, desc, start, end)
	p, err := m.connected(ctx, src)
	if err != nil {
		m.log.V(1).Info("range joins the fetch", "origin", m.origin.Place(repo), "repository", repo.String(), "digest", desc.Digest,
			"error", err.Error())
		return nil
	}
	if src.conn.at != start {
		_ = p.Close()
		return nil
	}
	m.metrics.PassThrough.WithLabelValues(passRange).Inc()
	return newReader(desc, start, end, PassThrough, p)
}

// diverted returns the stream that goes on for a follower whose spool broke. Where it reaches the blob's end, the bytes
// are still verified: those before are hashed again, from the spool.
func (m *Manager) diverted(ctx context.Context, repo imageref.Repository, f *follower) (*passThrough, error) {
	desc := f.t.descriptor("")
	size, arrived, _ := f.t.progress.state()
	src := newPart(m, repo, desc, f.pos, f.end)
	if f.end == size {
		src = newSource(m, repo, desc)
		src.offset = min(f.pos, arrived)
		if err := rehash(src, f.file); err != nil {
			return nil, fmt.Errorf("reading blob %s again: %w", desc.Digest, err)
		}
	}
	ctx, cancel := m.bind(ctx)
	p := newPassThrough(ctx, src, cancel)
	if _, err := io.CopyN(io.Discard, readerFunc(p.read), f.pos-src.offset); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	m.metrics.PassThrough.WithLabelValues(passNoRoom).Inc()
	return p, nil
}

// rehash brings the source's verifier to the source's offset.
func rehash(src *source, file io.ReadSeeker) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyN(src.verifier, file, src.offset)
	return err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// WriteTo sends the bytes as they arrive. Of those that are verified, the latest one is always held back, until the next one or the
// verification releases it.
func (p *passThrough) WriteTo(w io.Writer) (int64, error) {
	buf := passBuffers.Get().(*[64 << 10]byte)
	defer passBuffers.Put(buf)
	var sent int64
	held := 0
	for {
		n, err := p.read(buf[held:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sent, fmt.Errorf("streaming blob %s of %s: %w", p.src.desc.Digest, p.src.repo, err)
		}
		n += held
		if held = 0; p.src.verifier != nil {
			held = 1
		}
		if err := p.send(w, buf[:n-held], &sent); err != nil {
			return sent, err
		}
		copy(buf[:held], buf[n-held:n])
	}
	err := p.send(w, buf[:held], &sent)
	return sent, err
}

func (p *passThrough) send(w io.Writer, b []byte, sent *int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.Write(b)
	*sent += int64(n)
	if err != nil {
		return fmt.Errorf("sending blob %s: %w", p.src.desc.Digest, err)
	}
	flush(w)
	return nil
}

// Close ends the request.
func (p *passThrough) Close() error {
	p.src.close()
	p.cancel()
	return nil
}

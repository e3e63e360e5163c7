package fetch

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// farAhead is how many bytes a range may start ahead of what has arrived and still wait for it (B8).
const farAhead = 8 << 20

// errAgain says that a transfer ended in a way that says nothing of this request: in another repository's name, or before
// the reader could open its file.
var errAgain = errors.New("the fetch has ended")

// Open returns a reader of the blob desc (Size < 0 where it is not known) in the name of repo: it joins the running fetch,
// or starts one, and returns as soon as the origin's headers are here. A range outside the blob is ErrRange, with a Reader that
// only tells the blob's size; a range of a blob whose size nobody knows is ignored (Length < 0, Offset 0).
// What the origin refused is an *upstream.Error. ctx bounds the wait and the reader, not the fetch.
// The caller has looked for the blob in the store. That repo may have it, the origin says: by sending it, or by Options.Confirm.
func (m *Manager) Open(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, rng Range) (*Reader, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("opening blob %q: %w", desc.Digest, err)
	}
	if _, _, err := rng.Resolve(desc.Size); err != nil {
		return &Reader{Descriptor: desc}, err
	}
	for {
		t, how, err := m.enter(ctx, repo, desc)
		if err != nil {
			return nil, err
		}
		r, err := m.follow(ctx, t, opening{repo: repo, desc: desc, rng: rng, how: how})
		if !errors.Is(err, errAgain) {
			return r, err
		}
	}
}

// Runs says whether a fetch runs that was started in the name of repo: Join joins it.
func (m *Manager) Runs(repo imageref.Repository, dgst digest.Digest) bool {
	return m.find(repo, dgst) != nil
}

func (m *Manager) find(repo imageref.Repository, dgst digest.Digest) *transfer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.running[dgst]; t != nil && t.repo == repo {
		return t
	}
	return nil
}

// Join returns a reader of a blob that is arriving in the name of repo, as Open does, without a look at the store. It returns nil where
// no such fetch runs any more.
func (m *Manager) Join(ctx context.Context, repo imageref.Repository, dgst digest.Digest, rng Range) (*Reader, error) {
	t := m.find(repo, dgst)
	if t == nil {
		return nil, nil
	}
	r, err := m.follow(ctx, t, opening{repo: repo, desc: t.desc, rng: rng, how: Joined})
	if errors.Is(err, errAgain) {
		return nil, nil
	}
	return r, err
}

// opening is what a caller of Open asked for.
type opening struct {
	repo imageref.Repository
	desc ocispec.Descriptor
	rng  Range
	how  How
}

// follow waits until t knows the size, and returns a reader.
func (m *Manager) follow(ctx context.Context, t *transfer, o opening) (*Reader, error) {
	select {
	case <-t.opened:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for blob %s: %w", o.desc.Digest, context.Cause(ctx))
	}
	size, arrived, err := t.progress.state()
	switch {
	case unstored(err):
		return m.streamUnstored(ctx, o.repo, o.desc, o.rng)
	case err != nil && t.isOf(o.repo, o.desc):
		return nil, err
	case err != nil:
		return nil, errAgain
	case o.desc.Size >= 0 && size >= 0 && o.desc.Size != size:
		return nil, m.mismatch(m.origin.Place(o.repo), "blob %s has %d bytes, expected %d", o.desc.Digest, size, o.desc.Size)
	}
	desc := t.descriptor(o.desc.MediaType)
	start, end, err := o.rng.Resolve(size)
	if err != nil {
		return &Reader{Descriptor: desc}, err
	}
	if start-arrived > farAhead {
		if r := m.streamAhead(ctx, o.repo, desc, start, end); r != nil {
			return r, nil
		}
	}
	return m.attach(ctx, t, o, newReader(desc, start, end, o.how, nil))
}

// attach gives a reader its file.
func (m *Manager) attach(ctx context.Context, t *transfer, o opening, r *Reader) (*Reader, error) {
	end := r.Length
	if end >= 0 {
		end += r.Offset
	}
	f, err := t.open(ctx, r.Offset, end)
	if err != nil {
		return m.missed(ctx, t, o, err)
	}
	f.divert = func(f *follower) (*passThrough, error) { return m.diverted(ctx, o.repo, f) }
	r.body = f
	return r, nil
}

// missed answers a reader that could not open its file, which is nobody's fault where the transfer ended just now. Where it runs, the
// disk is at fault: the reader does without it (B7).
func (m *Manager) missed(ctx context.Context, t *transfer, o opening, err error) (*Reader, error) {
	if !m.left(t) {
		if !unstored(err) {
			return nil, err
		}
		m.noRoom.Do(func() { m.log.Error(err, "blob cannot be read while it arrives, clients stream it from the origin") })
		return m.streamUnstored(ctx, o.repo, o.desc, o.rng)
	}
	if t.wait(ctx) != nil {
		if _, _, failed := t.progress.state(); failed != nil {
			return m.follow(ctx, t, o)
		}
	}
	return nil, fmt.Errorf("%w: %w", errAgain, err)
}

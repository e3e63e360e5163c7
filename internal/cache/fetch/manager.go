package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/time/rate"
)

// Manager runs the fetches of a process, keyed by digest. It is safe for concurrent use.
type Manager struct {
	store     *store.Store
	origin    *upstream.Client
	metrics   *metrics.Metrics
	log       logr.Logger
	confirm   func(context.Context, imageref.Repository, digest.Digest) error
	onOutcome func(imageref.Repository, error)
	onCommit  func(imageref.Repository, digest.Digest)
	newSpool  func(digest.Digest, int64) (spool, error)
	idle      time.Duration
	pauses    []time.Duration
	end       context.CancelFunc              // ends what runs in the manager's name
	onEnd     func(func()) (stop func() bool) // calls back after end
	noRoom    rate.Sometimes                  // bounds how often a full disk is logged
	wg        sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the claims of the transfers; taken before a transfer's own lock
	running map[digest.Digest]*transfer
	closed  bool
}

// spool is what a transfer needs of a *store.Spool.
type spool interface {
	io.Writer
	Open() (*os.File, error)
	Commit(ctx context.Context) error
	Discard()
}

// Fetch brings a blob into the store, joining a running fetch, and returns when it is committed and linked in repo.
// progress, if not nil, is told the bytes that arrived since the last call. When ctx ends, only the wait ends (B2).
// Where the store has no room, the error is store.ErrNoRoom.
func (m *Manager) Fetch(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, progress func(n int64)) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("fetching blob %q: %w", desc.Digest, err)
	}
	var told int64
	for {
		t, _, err := m.enter(ctx, repo, desc)
		if err != nil {
			return err
		}
		told, err = t.watch(ctx, told, progress)
		if err == nil {
			if err = t.linked(repo); errors.Is(err, store.ErrNotFound) {
				continue // swept before it was linked
			}
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) || t.isOf(repo, desc) {
			return err
		}
	}
}

// errForeign says that a blob comes in the name of other repositories only.
var errForeign = errors.New("the blob is another repository's")

// enter joins the running transfer of a blob, or starts one; what comes in another name only after its own confirmation (B6).
func (m *Manager) enter(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) (*transfer, How, error) {
	t, how, err := m.join(ctx, repo, desc, m.confirm == nil)
	if !errors.Is(err, errForeign) {
		return t, how, err
	}
	if err := m.confirm(ctx, repo, desc.Digest); err != nil {
		return nil, 0, fmt.Errorf("confirming blob %s for %s: %w", desc.Digest, repo, err)
	}
	return m.join(ctx, repo, desc, true)
}

// join returns the running transfer of a blob, or starts one that outlives ctx. Either way the blob will be linked in repo.
func (m *Manager) join(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, confirmed bool) (*transfer, How, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, 0, ErrClosed
	}
	if t := m.running[desc.Digest]; t != nil {
		if t.claims[repo] == nil && !confirmed {
			return nil, 0, errForeign
		}
		t.claim(repo, desc)
		return t, Joined, nil
	}
	t := newTransfer(m, repo, desc)
	t.confirmed = confirmed
	t.claim(repo, desc)
	m.running[desc.Digest] = t
	m.metrics.Fetches.Inc()
	ctx, cancel := m.bind(context.WithoutCancel(ctx))
	m.wg.Go(func() {
		defer cancel()
		t.run(ctx)
	})
	return t, Started, nil
}

// bind returns a context that also ends with the manager: its cause is then ErrClosed.
func (m *Manager) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := m.onEnd(func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// remove makes the next Open of the blob start anew. The lock is held.
func (m *Manager) remove(t *transfer) {
	if m.running[t.desc.Digest] == t {
		delete(m.running, t.desc.Digest)
		m.metrics.Fetches.Dec()
	}
}

// left says whether t has left the manager.
func (m *Manager) left(t *transfer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[t.desc.Digest] != t
}

// Close aborts all fetches and waits for them; what streams through is aborted too. Open and Fetch then return ErrClosed.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.wg.Wait()
}

// outcome reports how a request to an origin ended, unless it was our side that ended it.
func (m *Manager) outcome(ctx context.Context, repo imageref.Repository, err error) {
	if m.onOutcome != nil && ctx.Err() == nil {
		m.onOutcome(repo, err)
	}
}

// mismatch counts bytes, or their number, that are not what the digest or the descriptor says (B4), and returns the error.
func (m *Manager) mismatch(host, format string, args ...any) error {
	m.metrics.DigestMismatches.WithLabelValues(host).Inc()
	return &upstream.Error{Reason: upstream.Invalid, Host: host, Err: fmt.Errorf(format, args...)}
}

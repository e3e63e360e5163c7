package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// transferBuffers hold the one buffer that a transfer needs, whatever the size of its blob (P2).
var transferBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// transfer brings one blob from its origin into the store. It belongs to no client (B2).
type transfer struct {
	m         *Manager
	repo      imageref.Repository // in whose name the origin is asked
	desc      ocispec.Descriptor  // as the request that started it gave it
	confirmed bool                // repo may have the blob, also if another brought it
	mediaType string              // as the origin gave it
	spool     spool               // nil where the store turned out to have the blob
	opened    chan struct{}       // closed when the above and the size are known, or it failed before
	done      chan struct{}       // closed when all is over
	claims    map[imageref.Repository]*claim
	progress  progress
}

func newTransfer(m *Manager, repo imageref.Repository, desc ocispec.Descriptor) *transfer {
	return &transfer{
		m:        m,
		repo:     repo,
		desc:     desc,
		opened:   make(chan struct{}),
		done:     make(chan struct{}),
		claims:   map[imageref.Repository]*claim{},
		progress: progress{size: desc.Size},
	}
}

// isOf says whether the transfer was started by just such a request, so that its failure is the answer to it.
func (t *transfer) isOf(repo imageref.Repository, desc ocispec.Descriptor) bool {
	return t.repo == repo && t.desc.Size == desc.Size
}

// run transfers, and then tells everybody, when nothing is left behind.
func (t *transfer) run(ctx context.Context) {
	began := time.Now()
	err := t.bring(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	t.leave()
	if t.spool != nil {
		t.spool.Discard()
	}
	if err != nil {
		t.progress.fail(fmt.Errorf("fetching blob %s of %s: %w", t.desc.Digest, t.repo, err))
	}
	t.admit()
	t.report(err, time.Since(began))
	close(t.done)
}

// bring takes the blob from the origin to its links.
func (t *transfer) bring(ctx context.Context) error {
	stored, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if stored {
		t.settle(ctx)
		return nil
	}
	src := newSource(t.m, t.repo, t.desc)
	defer src.close()
	if err := t.begin(ctx, src); err != nil {
		return err
	}
	if err := t.copy(ctx, src); err != nil {
		return err
	}
	t.progress.release(src.size)
	t.admit()
	if err := t.spool.Commit(ctx); err != nil {
		return fmt.Errorf("committing: %w", asSpoolError(err))
	}
	t.settle(ctx)
	return nil
}

// stored says whether an earlier transfer brought the blob after the caller had looked for it, and repo may have it.
func (t *transfer) stored(ctx context.Context) (bool, error) {
	size, err := t.m.store.StatBlob(ctx, t.desc.Digest)
	if err != nil || t.desc.Size >= 0 && t.desc.Size != size {
		return false, nil //nolint:nilerr // a store that does not answer has not got the blob
	}
	if !t.confirmed {
		if err := t.m.confirm(ctx, t.repo, t.desc.Digest); err != nil {
			return false, fmt.Errorf("confirming: %w", err)
		}
	}
	t.progress.release(size)
	t.admit()
	return true, nil
}

// begin makes room, asks the origin, and lets the readers in. Room comes first where the size is known: an origin is not asked
// for what cannot be kept.
func (t *transfer) begin(ctx context.Context, src *source) error {
	if t.desc.Size >= 0 {
		if err := t.makeRoom(t.desc.Size); err != nil {
			return err
		}
	}
	if err := src.connect(ctx); err != nil {
		return err
	}
	if t.spool == nil {
		if err := t.makeRoom(src.size); err != nil {
			return err
		}
	}
	t.mediaType = src.mediaType
	t.progress.setSize(src.size)
	// Nothing of an empty blob could be held back from its readers: they are let in when it is verified.
	if src.size != 0 {
		t.admit()
	}
	return nil
}

func (t *transfer) makeRoom(size int64) error {
	sp, err := t.m.newSpool(t.desc.Digest, size)
	if err != nil {
		return asSpoolError(err)
	}
	t.spool = sp
	return nil
}

// copy moves the bytes into the spool and returns when the last one is there and all are verified.
func (t *transfer) copy(ctx context.Context, src *source) error {
	buf := transferBuffers.Get().(*[256 << 10]byte)
	defer transferBuffers.Put(buf)
	for {
		n, err := src.read(ctx, buf[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := t.spool.Write(buf[:n]); err != nil {
			return asSpoolError(err)
		}
		t.progress.add(n)
	}
}

// leave makes the next Open of the blob start anew.
func (t *transfer) leave() {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.remove(t)
}

// admit lets those in who wait for the size. Only the transfer's own goroutine calls it.
func (t *transfer) admit() {
	select {
	case <-t.opened:
	default:
		close(t.opened)
	}
}

// watch tells progress what arrives, from told on, and returns when the transfer is over, with how it ended.
func (t *transfer) watch(ctx context.Context, told int64, progress func(int64)) (int64, error) {
	for {
		n, wake, err := t.progress.available(told)
		switch {
		case err != nil:
			return told, t.wait(ctx)
		case n > 0:
			told += n
			if progress != nil {
				progress(n)
			}
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return told, fmt.Errorf("waiting for blob %s: %w", t.desc.Digest, context.Cause(ctx))
		}
	}
}

// wait returns how the transfer ended when it is over.
func (t *transfer) wait(ctx context.Context) error {
	select {
	case <-t.done:
		t.progress.mu.Lock()
		defer t.progress.mu.Unlock()
		return t.progress.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for blob %s: %w", t.desc.Digest, context.Cause(ctx))
	}
}

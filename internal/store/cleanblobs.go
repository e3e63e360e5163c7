package store

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
)

// remarks bounds how often repositories are marked anew while blobs are deleted.
const remarks = 10_000

// blobs deletes the blobs that nothing reaches and that are linked nowhere.
func (p *pass) blobs(ctx context.Context) error {
	p.reached.settle()
	p.linked.settle()
	for _, algorithm := range algorithms {
		root := path.Join(blobsRoot, algorithm.String())
		folders, err := p.store.folders(ctx, root)
		if err != nil {
			return err
		}
		for _, name := range folders {
			if err := p.blobsIn(ctx, path.Join(root, name), algorithm); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) blobsIn(ctx context.Context, folder string, algorithm digest.Algorithm) error {
	all, err := p.store.digests(ctx, folder, algorithm)
	if err != nil {
		return err
	}
	var due []digest.Digest
	for _, dgst := range all {
		file := blobPath(dgst)
		switch {
		case p.reached.has(file):
			p.left(ctx, dgst)
		case p.candidate(file) && !p.linked.has(file):
			due = append(due, dgst)
		default:
			p.wait(ctx, dgst)
		}
	}
	for batch := range slices.Chunk(due, p.deletions()) {
		if err := p.deleteBlobs(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// left counts a blob that stays. To look at each would cost a request, where that is not a local folder.
func (p *pass) left(ctx context.Context, dgst digest.Digest) int64 {
	p.report.Blobs++
	if _, local := p.store.writer.(*disk); !local {
		return 0
	}
	state, _ := p.store.state(ctx, dgst)
	p.report.Stored += state.size
	return state.size
}

// wait has the next mark look at a blob again.
func (p *pass) wait(ctx context.Context, dgst digest.Digest) {
	p.next.keys.add(blobPath(dgst))
	p.report.Waiting.Blobs++
	p.report.Waiting.Bytes += p.left(ctx, dgst)
}

// deleteBlobs deletes a few blobs at once, but for those that somebody has come to need.
func (p *pass) deleteBlobs(ctx context.Context, batch []digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.o.DryRun {
		for _, dgst := range batch {
			state, _ := p.store.state(ctx, dgst)
			p.report.Freed.Blobs++
			p.report.Freed.Bytes += state.size
		}
		return nil
	}
	if err := p.closeGate(ctx); err != nil {
		return err
	}
	defer p.store.gate.Unlock()
	for _, dgst := range batch {
		if p.reached.has(blobPath(dgst)) || p.store.gate.wasLinked(dgst) || p.store.gate.isPinned(dgst) {
			p.report.Postponed++
			p.wait(ctx, dgst)
			continue
		}
		if err := p.deleteBlob(ctx, dgst); err != nil {
			return err
		}
	}
	return nil
}

// closeGate returns with the gate closed, and with all that was written since a repository was marked being known.
func (p *pass) closeGate(ctx context.Context) error {
	for {
		p.store.gate.Lock()
		stale := p.store.gate.stale()
		if len(stale) == 0 {
			return nil
		}
		p.store.gate.Unlock()
		for _, repo := range stale {
			if p.remarked++; p.remarked > remarks {
				return errBusy
			}
			p.store.gate.look(repo)
			m, err := p.store.mark(ctx, repo, p.o)
			if err != nil {
				return err
			}
			p.reach(m)
		}
		p.reached.settle()
	}
}

var errBusy = errors.New("the store is written to faster than it can be looked at; the next sweep goes on")

// deleteBlob deletes a blob with its folder. One that is being put in its place stays.
func (p *pass) deleteBlob(ctx context.Context, dgst digest.Digest) error {
	file := blobPath(dgst)
	unlock, ok := p.store.writing.tryLock(file)
	if !ok {
		p.report.Postponed++
		return nil
	}
	defer unlock()
	state, err := p.store.state(ctx, dgst)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := p.store.remove(ctx, path.Dir(file)); err != nil {
		return err
	}
	p.report.Freed.Blobs++
	p.report.Freed.Bytes += state.size
	return nil
}

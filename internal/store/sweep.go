package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// ErrSweeping is returned where a sweep runs already.
var ErrSweeping = errors.New("a sweep is running already")

// SweepOptions say what a sweep may delete. What is nil is not asked.
type SweepOptions struct {
	Grace  time.Duration    // how long something has to be unreachable, seen by two marks; 0: both marks follow each other now
	DryRun bool             // delete nothing and remember nothing
	Now    func() time.Time // nil: time.Now
	Sole   bool             // of the processes on a shared store this is the only one that sweeps

	wait func(ctx context.Context, d time.Duration) error // of tests; nil: by the clock

	// Keeps says of a manifest that no tag reaches that it is kept all the same. It may be called while anybody pulls.
	Keeps func(repo imageref.Repository, dgst digest.Digest) bool
	// Remembers says of a tag whose image was evicted that its tombstone is kept, which reaches nothing: it tells every replica why the image
	// is not here.
	Remembers func(repo imageref.Repository, tag string) bool
	// Bury removes the record of a tag that was removed, by calling remove, unless the tag has come back.
	Bury func(repo imageref.Repository, tag string, remove func() error) error
	// Forget is called after manifests or lists of repo were deleted; dgst is empty for a list.
	Forget func(repo imageref.Repository, dgst digest.Digest)
}

// Swept counts what a sweep found or deleted.
type Swept struct {
	Tags      int   `json:"tags"`      // removed before
	Manifests int   `json:"manifests"` // links of manifests
	Links     int   `json:"links"`     // links of blobs, and lists
	Blobs     int   `json:"blobs"`     // manifests among them
	Bytes     int64 `json:"bytes"`     // of those blobs
}

// SweepReport is what came of a sweep.
type SweepReport struct {
	Freed     Swept     `json:"freed"`         // deleted; in a dry run: what would be
	Waiting   Swept     `json:"waiting"`       // unreachable, but not for a grace period yet
	Next      time.Time `json:"next,omitzero"` // when what is waiting may be deleted; zero: nothing is
	Stored    int64     `json:"stored"`        // bytes of the blobs that are left
	Blobs     int       `json:"blobs"`         // their number
	Skipped   bool      `json:"skipped"`       // the last mark is younger than a grace period: nothing was looked at
	Postponed int       `json:"postponed"`     // what came into use, or was being written, meanwhile
}

// Sweep deletes what nothing reaches (M4), and only what was unreachable in two marks a grace period apart: the marks of two calls, or,
// without a grace period, two of this one. Pulls and mirrors go on meanwhile. What it found is in the store, so that another process goes on
// where one was killed. Where the store cannot tell what is reachable, nothing is deleted and the error says why. A shared store is swept by
// the one process that may (Sole), and it tells the others first what it deletes; else the error is ErrShared, unless it only tells (DryRun).
func (s *Store) Sweep(ctx context.Context, o SweepOptions) (SweepReport, error) {
	if s.shared && !o.DryRun && !o.Sole {
		return SweepReport{}, ErrShared
	}
	if !s.sweeping.TryLock() {
		return SweepReport{}, ErrSweeping
	}
	defer s.sweeping.Unlock()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.wait == nil {
		o.wait = sleep
	}
	report, err := s.sweep(ctx, o)
	if err != nil {
		return report, fmt.Errorf("sweeping: %w", err)
	}
	return report, nil
}

func (s *Store) sweep(ctx context.Context, o SweepOptions) (SweepReport, error) {
	first, err := s.readCandidates(ctx)
	if err != nil {
		return SweepReport{}, err
	}
	if first != nil && (first.Count == 0 || first.At.After(o.Now())) {
		first = nil // there is nothing to wait for, or the clock was set back
	}
	if o.Grace <= 0 {
		if first, err = s.firstMark(ctx, o); err != nil {
			return SweepReport{}, err
		}
	}
	ready := first != nil && o.Now().Sub(first.At) >= o.Grace
	if first != nil && !ready && !o.DryRun {
		return SweepReport{Skipped: true, Next: first.At.Add(o.Grace)}, s.endSweep(ctx)
	}
	p := &pass{store: s, o: o}
	if ready {
		p.first = first
	}
	if s.shared && !o.DryRun {
		return s.sweepShared(ctx, p)
	}
	return p.run(ctx)
}

// firstMark returns what is unreachable now.
func (s *Store) firstMark(ctx context.Context, o SweepOptions) (*candidates, error) {
	o.DryRun = true
	p := &pass{store: s, o: o}
	if _, err := p.run(ctx); err != nil {
		return nil, err
	}
	p.next.keys.settle()
	p.next.At = o.Now()
	return &p.next, nil
}

// pass is one mark, and the deletion of what the one before has found too.
type pass struct {
	store    *Store
	o        SweepOptions
	first    *candidates // nil: nothing may be deleted yet
	next     candidates  // what this mark finds and does not delete
	reached  keySet      // blobs that something reaches
	linked   keySet      // blobs that nothing reaches and that are linked still
	report   SweepReport
	remarked int
}

func (p *pass) run(ctx context.Context) (SweepReport, error) {
	defer p.store.gate.watch()()
	err := p.store.walk(ctx, "", func(name string) error {
		if repo, ok := ours(name); ok {
			return p.repository(ctx, repo)
		}
		return p.foreign(ctx, name)
	})
	if err == nil {
		err = p.blobs(ctx)
	}
	if err != nil {
		return p.report, err
	}
	p.next.At = p.o.Now()
	if p.report.Waiting != (Swept{}) {
		p.report.Next = p.next.At.Add(p.o.Grace)
	}
	if p.o.DryRun {
		return p.report, nil
	}
	return p.report, p.store.writeCandidates(ctx, &p.next)
}

// foreign keeps all that is linked in a repository whose name stands for no origin: it is another registry's to judge.
func (p *pass) foreign(ctx context.Context, name string) error {
	root := path.Join(repositoriesRoot, name)
	for _, algorithm := range algorithms {
		for _, folder := range []string{revisionsPath(root, algorithm), path.Join(root, "_layers", algorithm.String())} {
			links, err := p.store.digests(ctx, folder, algorithm)
			if err != nil {
				return fmt.Errorf("marking %s: %w", name, err)
			}
			for _, dgst := range links {
				p.reached.add(blobPath(dgst))
			}
		}
	}
	return nil
}

// attempts bounds how often a repository is marked anew because it was written to while it was being swept.
const attempts = 3

// repository marks a repository, and deletes there what it may.
func (p *pass) repository(ctx context.Context, repo imageref.Repository) error {
	for attempt := 1; ; attempt++ {
		p.store.gate.look(repo)
		m, err := p.store.mark(ctx, repo, p.o)
		if err != nil {
			return err
		}
		if attempt > attempts { // it stays for the next sweep
			p.report.Postponed += len(m.dead)
			p.keep(m, m.dead)
			return nil
		}
		left, done, err := p.clean(ctx, m)
		if err != nil {
			return err
		}
		if done {
			p.keep(m, left)
			return nil
		}
	}
}

// keep notes what a repository reaches, and what is left there that nothing reaches.
func (p *pass) keep(m *mark, left []item) {
	p.reach(m)
	for _, it := range left {
		p.next.keys.add(it.path)
		p.report.Waiting.count(it)
		if it.digest != "" {
			p.linked.add(blobPath(it.digest))
		}
	}
}

func (p *pass) reach(m *mark) {
	for dgst := range m.named {
		p.reached.add(blobPath(dgst))
	}
	if m.blind { // nobody knows which of its links are named
		for _, dgst := range m.links {
			p.reached.add(blobPath(dgst))
		}
	}
}

// candidate says whether the mark before this one has found a path unreachable too.
func (p *pass) candidate(path string) bool { return p.first != nil && p.first.keys.has(path) }

package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The gate keeps a sweep apart from the writers of its own process. Those of other processes on a shared store it keeps apart by what it
// writes there:
//
//   - Before the mark that decides, the sweep says what it may delete, the candidates of the mark before: they are doomed. Then it waits
//     until nobody goes by an older look any more. Only what was doomed is deleted.
//   - A writer first writes what makes something reachable, a tag record above all, and looks then what is doomed. What is doomed
//     counts as gone: it has to come in anew, and what comes in under a doomed name is stored when the sweep is over. It looks before it
//     writes, too: a sweep that has ended in between may have deleted what was written.
//
// So what a writer relies on is either not doomed, or the writer wrote before the mark, which then has found it reachable.
const (
	doomedPath = "/larder/sweep/doomed"
	// doomedWait is from the word to the mark: longer than sharedLinkTTL, for which a look lasts, and any request to the storage.
	doomedWait = 30 * time.Second
	// doomedLife is for how long the word is heeded: the sweeper may have died. It ends by itself long before.
	doomedLife  = time.Hour
	sweeperLife = 45 * time.Minute
)

// ErrDoomed is returned for what a sweep by another process is about to delete: it can be stored again when the sweep is over.
var ErrDoomed = errors.New("a sweep is deleting it; it can be stored when that has ended")

// doom is what a sweep by another process may delete, as of the last look.
type doom struct {
	own atomic.Bool // this process sweeps: its gate knows better
	ttl time.Duration
	now func() time.Time

	mu   sync.Mutex
	read time.Time
	word word
}

// word is what the last sweep said: when, and what it may delete; no keys: it has ended.
type word struct {
	at   time.Time
	keys *candidates
}

func (w word) has(path string) bool { return w.keys != nil && w.keys.keys.has(path) }

// beforeWrite is called before writing what makes something reachable; heed gets what it returns.
func (s *Store) beforeWrite(ctx context.Context) (word, error) {
	if !s.shared || s.doom.own.Load() {
		return word{}, nil
	}
	return s.lookDoomed(ctx)
}

// heed is called afterwards. It has later looks of this process count as gone what is doomed now, and is ErrDoomed where one of the paths that
// were written is, or was, or may have been.
func (s *Store) heed(ctx context.Context, before word, paths ...string) error {
	if !s.shared || s.doom.own.Load() {
		return nil
	}
	now, err := s.lookDoomed(ctx)
	if err != nil {
		return err
	}
	if before.keys == nil && now.keys == nil && !now.at.Equal(before.at) {
		return ErrDoomed // a whole sweep went by
	}
	for _, path := range paths {
		if now.has(path) || before.has(path) {
			return ErrDoomed
		}
	}
	return nil
}

// isDoomed says whether a path counts as gone. Only while a sweep is known to run does that cost a request now and then.
func (s *Store) isDoomed(ctx context.Context, path func() string) bool {
	if !s.shared || s.doom.own.Load() {
		return false
	}
	s.doom.mu.Lock()
	none := s.doom.word.keys == nil
	s.doom.mu.Unlock()
	if none {
		return false
	}
	now, err := s.lookDoomed(ctx)
	return err != nil || now.has(path())
}

// lookDoomed reads what is doomed, unless it did just now.
func (s *Store) lookDoomed(ctx context.Context) (word, error) {
	d := &s.doom
	d.mu.Lock()
	defer d.mu.Unlock()
	began := d.now()
	if age := began.Sub(d.read); age >= 0 && age < d.ttl {
		return d.word, nil
	}
	keys, err := s.readKeys(ctx, doomedPath)
	if err != nil {
		return word{}, fmt.Errorf("looking what a sweep deletes: %w", err)
	}
	d.word, d.read = word{}, began
	if keys != nil {
		d.word.at = keys.At
		if keys.Count > 0 && began.Sub(keys.At) <= doomedLife {
			d.word.keys = keys
		}
	}
	return d.word, nil
}

// doomAll says that a sweep may delete the candidates from now on, and returns when every process knows.
func (s *Store) doomAll(ctx context.Context, first *candidates, o SweepOptions) error {
	said := &candidates{At: s.doom.now(), keys: first.keys}
	if err := s.writeKeys(ctx, doomedPath, said); err != nil {
		return err
	}
	return o.wait(ctx, doomedWait)
}

// sweepShared is a sweep of a store into which other processes write.
func (s *Store) sweepShared(ctx context.Context, p *pass) (SweepReport, error) {
	s.doom.own.Store(true)
	defer s.doom.own.Store(false)
	ctx, cancel := context.WithTimeout(ctx, sweeperLife)
	defer cancel()
	if p.first != nil && len(p.first.keys.sorted) > 0 { // else nothing will be deleted, and nobody has to know
		if err := s.doomAll(ctx, p.first, p.o); err != nil {
			return SweepReport{}, err
		}
	}
	report, err := p.run(ctx)
	if ctx.Err() != nil {
		return report, err // another process may be the sweeper by now, and have something to say itself
	}
	return report, errors.Join(err, s.undoomAll(ctx))
}

// undoomAll says that the sweep has ended.
func (s *Store) undoomAll(ctx context.Context) error {
	return s.writeKeys(ctx, doomedPath, &candidates{At: s.doom.now()})
}

// endSweep says so for one that did not come to it, since its process died.
func (s *Store) endSweep(ctx context.Context) error {
	if !s.shared {
		return nil
	}
	if keys, err := s.readKeys(ctx, doomedPath); err != nil || keys == nil || keys.Count == 0 {
		return err
	}
	return s.undoomAll(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package origin

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Fault is an armed fault.
type Fault struct {
	owner   *faults
	match   Match
	effects []Effect
	healed  chan struct{} // closed by Heal: what waits goes on
	// Guarded by owner.mu:
	seen   int
	hits   int
	struck chan struct{} // closed and replaced at every hit
}

// Heal takes the fault back and lets go what it holds. It may be called again.
func (f *Fault) Heal() { f.owner.remove(f) }

// Hits returns how many requests the fault has struck.
func (f *Fault) Hits() int {
	hits, _ := f.state()
	return hits
}

// Wait returns when the fault has struck n requests, or ctx's error.
func (f *Fault) Wait(ctx context.Context, n int) error {
	for {
		hits, struck := f.state()
		if hits >= n {
			return nil
		}
		select {
		case <-struck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *Fault) state() (int, <-chan struct{}) {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	return f.hits, f.struck
}

func (f *Fault) isHealed() bool {
	select {
	case <-f.healed:
		return true
	default:
		return false
	}
}

// hold waits until the fault is healed; d < 0 means without a limit. It returns ctx's error where that ends first.
func (f *Fault) hold(ctx context.Context, d time.Duration) error {
	var limit <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case <-f.healed:
	case <-limit:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

type faults struct {
	mu    sync.Mutex
	armed []*Fault
}

func (s *faults) add(m Match, effects []Effect) *Fault {
	f := &Fault{
		owner: s, match: m, effects: effects,
		healed: make(chan struct{}), struck: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = append(s.armed, f)
	return f
}

func (s *faults) remove(f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.armed, f); i >= 0 {
		s.armed = slices.Delete(s.armed, i, i+1)
		close(f.healed)
	}
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.armed {
		close(f.healed)
	}
	s.armed = nil
}

// strike returns the faults that r runs into, and counts it for them.
func (s *faults) strike(r *Request) []*Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var struck []*Fault
	for _, f := range s.armed {
		if !f.match.matches(r) {
			continue
		}
		f.seen++
		if f.match.strikes(f.seen) {
			f.hits++
			close(f.struck)
			f.struck = make(chan struct{})
			struck = append(struck, f)
		}
	}
	return struck
}

// Fail arms a fault until it is healed.
func (o *Origin) Fail(m Match, effects ...Effect) *Fault { return o.faults.add(m, effects) }

// Heal takes back every fault and what Refuse, RefuseTokens and Babble did.
func (o *Origin) Heal() {
	o.faults.clear()
	for _, s := range o.servers() {
		if err := s.listener.resume(); err != nil {
			o.complain("listening again at %s: %v", s.listener.address, err)
		}
	}
}

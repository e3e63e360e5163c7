package hooks

import (
	"errors"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	between  = 10 * time.Second // two checks of one tag that pushes cause
	tagsHeld = 10_000           // whose last check is remembered
)

// pace keeps checks of one tag apart. A push that comes too soon after another is not lost: all those that do are one check, later.
type pace struct {
	now func() time.Time

	mu   sync.Mutex
	tags map[imageref.Reference]*turn
}

// turn is a tag that was checked not long ago.
type turn struct {
	next   time.Time // when it may be checked again
	again  bool      // it was pushed since
	source string    // by whom
}

var errCrowded = errors.New("too many tags were pushed at once")

func newPace(now func() time.Time) *pace {
	return &pace{now: now, tags: map[imageref.Reference]*turn{}}
}

// enter says whether a tag that was pushed may be checked now; else due gives it later.
func (p *pace) enter(ref imageref.Reference, source string) (now bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tags[ref]; t != nil {
		t.again, t.source = true, source
		return false, nil
	}
	if len(p.tags) >= tagsHeld {
		return false, errCrowded
	}
	p.tags[ref] = &turn{next: p.now().Add(between)}
	return true, nil
}

// leave forgets a tag that was not checked after all.
func (p *pace) leave(ref imageref.Reference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tags, ref)
}

// again has due give a tag once more.
func (p *pace) again(ref imageref.Reference, source string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tags[ref]; t != nil {
		t.again, t.source = true, source
	}
}

// due returns the tags that are to be checked now, and which registry said so. It forgets those that were not pushed again.
func (p *pace) due() map[imageref.Reference]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	due := map[imageref.Reference]string{}
	for ref, t := range p.tags {
		switch {
		case now.Before(t.next):
		case t.again:
			due[ref] = t.source
			t.again, t.next = false, now.Add(between)
		default:
			delete(p.tags, ref)
		}
	}
	return due
}

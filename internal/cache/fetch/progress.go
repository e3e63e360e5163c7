package fetch

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Waking costs the processor that moves the bytes: after the first bytes, waiting readers are woken together, and the
// less often the more they are.
const (
	wakeInterval  = 5 * time.Millisecond
	wakePerReader = 100 * time.Microsecond
	maxWake       = 50 * time.Millisecond
)

// progress is how far a transfer is. It holds the final byte back until the blob is verified, and wakes those who
// wait for more.
type progress struct {
	mu       sync.Mutex
	size     int64 // < 0: not known
	arrived  int64
	verified bool
	err      error // how it ended, if not well
	readers  int
	wake     chan struct{} // closed to wake; nil while nobody waits
	woken    time.Time
	timer    *time.Timer
	armed    bool // the timer runs
}

// available returns how many bytes from pos on may be read now. Where there are none yet, it returns a channel that is closed
// when that may have changed. io.EOF says that the blob ended, verified; a *spoolError comes after the bytes that arrived,
// every other error before them.
func (p *progress) available(pos int64) (int64, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	visible, broken := p.visible(), errors.As(p.err, new(*spoolError))
	switch {
	case p.verified && visible <= pos:
		return 0, nil, io.EOF
	case p.err != nil && !broken && !p.verified:
		return 0, nil, p.err
	case visible > pos:
		return visible - pos, nil, nil
	case p.err != nil:
		return 0, nil, p.err
	}
	if p.wake == nil {
		p.wake = make(chan struct{})
	}
	return 0, p.wake, nil
}

// visible is how many bytes readers may have.
func (p *progress) visible() int64 {
	switch {
	case p.verified:
		return p.arrived
	case p.size >= 0:
		return min(p.arrived, p.size-1)
	}
	return max(p.arrived-1, 0)
}

// state returns the size (< 0: not known), how much has arrived, and the error that ended the transfer before it was verified.
func (p *progress) state() (size, arrived int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verified {
		return p.size, p.arrived, nil
	}
	return p.size, p.arrived, p.err
}

func (p *progress) isVerified() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verified
}

func (p *progress) setSize(size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = size
}

// attend counts a reader in (1) or out (-1).
func (p *progress) attend(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers += n
}

// add says that n more bytes arrived. Waiting readers learn of it at once, or within the interval since they last did.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived += int64(n)
	if p.wake == nil || p.armed {
		return
	}
	rest := min(wakeInterval+time.Duration(p.readers)*wakePerReader, maxWake) - time.Since(p.woken)
	if rest <= 0 {
		p.broadcast()
		return
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(rest, p.ring)
	} else {
		p.timer.Reset(rest)
	}
}

func (p *progress) ring() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	p.broadcast()
}

// release says that all bytes arrived and are verified: readers may have the final one too.
func (p *progress) release(size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size, p.arrived, p.verified = size, size, true
	p.broadcast()
}

// fail says that the transfer ended with err. Readers of a verified blob do not care.
func (p *progress) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	p.broadcast()
}

func (p *progress) broadcast() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
	p.woken = time.Now()
}

package origin

import (
	"io"
	"sync"
	"time"
)

// Drip sends the body of each answer at that many bytes per second, evenly, until the fault is healed.
func Drip(bytesPerSecond int64) Effect {
	return Effect{stage: func(a *answer, f *Fault, next io.WriteCloser) io.WriteCloser {
		return &drip{next: next, a: a, f: f, pace: &pace{rate: bytesPerSecond}}
	}}
}

// DripTotal is Drip, except that all answers together send that many bytes per second.
func DripTotal(bytesPerSecond int64) Effect {
	shared := &pace{rate: bytesPerSecond}
	return Effect{stage: func(a *answer, f *Fault, next io.WriteCloser) io.WriteCloser {
		return &drip{next: next, a: a, f: f, pace: shared}
	}}
}

// catchUp is how far a pace may fall behind, on a busy machine, and still make up for it.
const catchUp = 50 * time.Millisecond

// pace says when bytes may go.
type pace struct {
	rate int64 // bytes per second

	mu   sync.Mutex
	next time.Time
}

// piece is how much goes at once: what is sent in 10 ms, within reason.
func (p *pace) piece() int { return int(min(max(p.rate/100, 1), 64<<10)) }

// reserve returns how long the next n bytes have to wait.
func (p *pace) reserve(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.next.IsZero() {
		p.next = now
	}
	if earliest := now.Add(-catchUp); p.next.Before(earliest) {
		p.next = earliest
	}
	wait := max(p.next.Sub(now), 0)
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return wait
}

type drip struct {
	next io.WriteCloser
	a    *answer
	f    *Fault
	pace *pace
}

func (s *drip) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) && !s.f.isHealed() {
		n, err := s.send(p[written:min(len(p), written+s.pace.piece())])
		written += n
		if err != nil {
			return written, err
		}
	}
	n, err := s.next.Write(p[written:])
	return written + n, err
}

// send writes a piece when it is due.
func (s *drip) send(piece []byte) (int, error) {
	if err := s.f.hold(s.a.request.Context(), s.pace.reserve(len(piece))); err != nil {
		return 0, err
	}
	n, err := s.next.Write(piece)
	if err != nil {
		return n, err
	}
	return n, s.a.flush()
}

func (s *drip) Close() error { return s.next.Close() }

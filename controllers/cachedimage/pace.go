package cachedimage

import (
	"sync"
	"time"
)

// interval is how often an image is written at most, however many pods come and go.
const interval = 3 * time.Second

// pace lets the first of many changes of an image pass at once, and then those that follow, together, once in an interval. It goes by
// the time that passes, which no step of the wall clock changes.
type pace struct {
	mu      sync.Mutex
	written map[string]time.Time
}

// wait says how long it is until an image may be written again.
func (p *pace) wait(name string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.written[name]
	if !ok {
		return 0
	}
	return max(0, interval-time.Since(last))
}

func (p *pace) wrote(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.written == nil {
		p.written = map[string]time.Time{}
	}
	p.written[name] = time.Now()
}

func (p *pace) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.written, name)
}

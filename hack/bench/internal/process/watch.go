package process

import (
	"errors"
	"time"
)

// sampling is how often memory is looked at.
const sampling = 20 * time.Millisecond

// Usage is what a process used while it was watched.
type Usage struct {
	CPU  time.Duration
	Peak int64 // of anonymous resident memory, in bytes
	Wall time.Duration
}

// Watch is a measurement that runs.
type Watch struct {
	p     *Process
	start time.Time
	cpu   time.Duration
	stop  chan struct{}
	peak  chan int64
}

// Watch begins to measure.
func (p *Process) Watch() (*Watch, error) {
	cpu, err := p.CPU()
	if err != nil {
		return nil, err
	}
	w := &Watch{p: p, start: time.Now(), cpu: cpu, stop: make(chan struct{}), peak: make(chan int64)}
	go w.sample()
	return w, nil
}

func (w *Watch) sample() {
	timer := time.NewTicker(sampling)
	defer timer.Stop()
	var peak int64
	for {
		if used, err := w.p.Anon(); err == nil { // a process that has ended is for Stop to report
			peak = max(peak, used)
		}
		select {
		case <-timer.C:
		case <-w.stop:
			w.peak <- peak
			return
		}
	}
}

// Stop ends the measurement. It must be called, once.
func (w *Watch) Stop() (Usage, error) {
	wall := time.Since(w.start)
	close(w.stop)
	peak := <-w.peak
	cpu, err := w.p.CPU()
	if err != nil {
		return Usage{}, errors.Join(errors.New("the process ended while it was measured"), err)
	}
	return Usage{CPU: cpu - w.cpu, Peak: peak, Wall: wall}, nil
}

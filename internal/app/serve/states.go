package serve

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// state is how the last mirror of an image ended.
type state string

const (
	pending state = "pending" // none has ended yet
	ready   state = "ready"
	failing state = "failing"
)

// states counts the images that are asked for by their state.
type states struct {
	gauge *prometheus.GaugeVec

	mu sync.Mutex
	of map[wanted]state
}

func newStates(gauge *prometheus.GaugeVec) *states {
	s := &states{gauge: gauge, of: map[wanted]state{}}
	for _, state := range []state{pending, ready, failing} {
		gauge.WithLabelValues(string(state)).Set(0)
	}
	return s
}

// set notes an image's state; one that nobody asks for any more begins anew with pending.
func (s *states) set(image wanted, to state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, known := s.of[image]
	switch {
	case known:
		s.gauge.WithLabelValues(string(from)).Dec()
	case to != pending:
		return
	}
	s.of[image] = to
	s.gauge.WithLabelValues(string(to)).Inc()
}

func (s *states) remove(image wanted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from, known := s.of[image]; known {
		s.gauge.WithLabelValues(string(from)).Dec()
		delete(s.of, image)
	}
}

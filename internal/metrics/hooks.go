package metrics

import "github.com/prometheus/client_golang/prometheus"

// Hooks holds what is counted of what registries tell of pushes.
type Hooks struct {
	Requests  *prometheus.CounterVec // source, outcome (accepted, ignored, denied, invalid, limited, failed)
	Refreshes prometheus.Counter     // checks of CachedImages that were asked for
}

// NewHooks registers the metrics with reg.
func NewHooks(reg prometheus.Registerer) *Hooks {
	h := &Hooks{
		Requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_hook_requests_total",
			Help: "Notifications of pushes, by the registry that they are of and by outcome."}, []string{"source", "outcome"}),
		Refreshes: prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_hook_refreshes_total",
			Help: "Checks of CachedImages that notifications of pushes caused."}),
	}
	reg.MustRegister(h.Requests, h.Refreshes)
	return h
}

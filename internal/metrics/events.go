package metrics

import "github.com/prometheus/client_golang/prometheus"

// Events holds what is counted of changes of images and of the events that tell of them.
type Events struct {
	Changes  *prometheus.CounterVec // change (discovered, mirrored, moved, pinned, unpinned, stale, current, gone, back, evicted, held)
	Sent     prometheus.Counter     // events that the sink took
	Failures prometheus.Counter     // attempts that it did not take
	Dropped  *prometheus.CounterVec // reason (full, refused, storage): events that it will never get
	Waiting  prometheus.Gauge       // events that wait for it
}

// NewEvents registers the metrics with reg.
func NewEvents(reg prometheus.Registerer) *Events {
	e := &Events{
		Changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_image_changes_total",
			Help: "Changes of images, by what happened."}, []string{"change"}),
		Sent: prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_events_sent_total", Help: "CloudEvents that the sink took."}),
		Failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_events_failures_total",
			Help: "Attempts to send a CloudEvent that the sink did not take; they are repeated."}),
		Dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_events_dropped_total",
			Help: "CloudEvents that the sink will never get, by reason."}, []string{"reason"}),
		Waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "larder_events_waiting", Help: "CloudEvents that wait for the sink."}),
	}
	reg.MustRegister(e.Changes, e.Sent, e.Failures, e.Dropped, e.Waiting)
	return e
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Relay holds what larder-proxy counts beside its requests.
type Relay struct {
	Replicas  prometheus.Gauge       // replicas of the registry that are known
	Attempts  *prometheus.CounterVec // outcome (answered, refused, unreachable, untrusted, unavailable, broken): requests to replicas
	Resumes   prometheus.Counter     // bodies that were resumed elsewhere
	Fallbacks *prometheus.CounterVec // kind (manifest, blob, tags, referrers, base): requests that went to the origin itself
	NamesTold prometheus.Gauge       // when the registry told its names last
}

// NewRelay registers the metrics with reg.
func NewRelay(reg prometheus.Registerer) *Relay {
	r := &Relay{
		Replicas: prometheus.NewGauge(prometheus.GaugeOpts{Name: "larder_relay_replicas", Help: "Replicas of the registry that are known."}),
		Attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_relay_attempts_total",
			Help: "Requests to replicas of the registry by outcome."}, []string{"outcome"}),
		Resumes: prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_relay_resumes_total",
			Help: "Bodies that were resumed elsewhere after a replica broke off."}),
		Fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_relay_fallbacks_total",
			Help: "Requests that went to the origin itself since no replica answered."}, []string{"kind"}),
		NamesTold: prometheus.NewGauge(prometheus.GaugeOpts{Name: "larder_relay_names_told_timestamp_seconds",
			Help: "When the registry last told which tags are pinned or immutable and what comes from elsewhere; 0: not since the start."}),
	}
	reg.MustRegister(r.Replicas, r.Attempts, r.Resumes, r.Fallbacks, r.NamesTold)
	return r
}

package webhook

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-dev/larder/internal/rewrite"
)

// metrics leave out dry runs, of which nothing comes.
type metrics struct {
	duration prometheus.Histogram
	images   *prometheus.CounterVec // reason, empty for those rewritten
	digests  prometheus.Counter     // written behind tags
	pods     *prometheus.CounterVec // reason
	failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "larder_webhook_duration_seconds", Help: "Time in which the pod webhook answered.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .003, .004, .005, .01, .025, .1, 1},
		}),
		images: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_webhook_images_total", Help: "Images of pods by what became of them: rewritten, or left alone for a reason.",
		}, []string{"outcome", "reason"}),
		digests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_webhook_digests_total", Help: "Tags of pods behind which a digest was written.",
		}),
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_webhook_pods_left_total", Help: "Pods that were left alone as a whole, by reason.",
		}, []string{"reason"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_webhook_failures_total", Help: "Pods that passed as they were because the webhook failed.",
		}),
	}
	err := errors.Join(reg.Register(m.duration), reg.Register(m.images), reg.Register(m.digests), reg.Register(m.pods), reg.Register(m.failures))
	if err != nil {
		return nil, fmt.Errorf("registering the webhook's metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) count(d rewrite.Decision) {
	if d.Pod != "" {
		m.pods.WithLabelValues(string(d.Pod)).Inc()
	}
	for _, v := range d.Images {
		if v.Digest != "" {
			m.digests.Inc()
		}
		outcome := "left"
		if v.Rewritten != "" {
			outcome = "rewritten"
		}
		m.images.WithLabelValues(outcome, string(v.Reason)).Inc()
	}
}

package serve

import (
	"cmp"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	defaultSweepInterval = time.Hour
	defaultSweepGrace    = time.Hour
	defaultScrubPeriod   = 168 * time.Hour
	defaultHigh          = 0.9
	defaultLow           = 0.8
)

// Sweep says when what nothing needs any more is deleted.
type Sweep struct {
	Interval time.Duration // how often it is looked for; 0: never
	Grace    time.Duration // how long it must not have been needed
}

// sweep is the key sweep of the configuration file.
type sweep struct {
	Interval v1alpha1.Interval `json:"interval"`
	Grace    v1alpha1.Duration `json:"grace"`
}

// scrub is the key scrub of the configuration file.
type scrub struct {
	Period v1alpha1.Interval `json:"period"`
}

func (r *reader) scrub(c scrub) time.Duration {
	period, ok, err := c.Period.Duration()
	switch {
	case err != nil, ok && period == 0:
		r.Report("scrub.period", "%q: write a duration above 0s, such as 168h, or never", c.Period)
	case c.Period == "":
		return defaultScrubPeriod
	}
	return period
}

func (r *reader) sweep(c sweep) Sweep {
	o := Sweep{Interval: defaultSweepInterval, Grace: defaultSweepGrace}
	interval, ok, err := c.Interval.Duration()
	switch {
	case err != nil, ok && interval == 0:
		r.Report("sweep.interval", "%q: write a duration above 0s, such as 1h, or never", c.Interval)
	case c.Interval != "":
		o.Interval = interval
	}
	grace, ok, err := c.Grace.Duration()
	switch {
	case err != nil:
		r.Report("sweep.grace", "%q: write a duration such as 1h or 0s", c.Grace)
	case ok:
		o.Grace = grace
	}
	return o
}

// limit is the key store of the configuration file.
type limit struct {
	MaxSize       string  `json:"maxSize"`
	HighWatermark float64 `json:"highWatermark"`
	LowWatermark  float64 `json:"lowWatermark"`
}

func (r *reader) limit(c limit) cache.Limit {
	high, low := cmp.Or(c.HighWatermark, defaultHigh), cmp.Or(c.LowWatermark, defaultLow)
	switch {
	case high < 0 || high > 1:
		r.Report("store.highWatermark", "%v: write a share of maxSize above 0 and up to 1, such as 0.9", high)
	case low < 0 || low >= high:
		r.Report("store.lowWatermark", "%v: write a share of maxSize below highWatermark (%v), such as 0.8", low, high)
	}
	if c.MaxSize == "" {
		if c.HighWatermark != 0 || c.LowWatermark != 0 {
			r.Report("store", "the watermarks are shares of maxSize, which is missing: write it, such as 50Gi, or remove them")
		}
		return cache.Limit{}
	}
	size, err := resource.ParseQuantity(c.MaxSize)
	if err != nil || size.Sign() <= 0 {
		r.Report("store.maxSize", "%q: write a number of bytes above 0, such as 50Gi", c.MaxSize)
		return cache.Limit{}
	}
	bytes := size.AsApproximateFloat64()
	return cache.Limit{High: int64(bytes * high), Low: int64(bytes * low)}
}

package serve

import (
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
)

const (
	defaultSweepInterval = time.Hour
	defaultSweepGrace    = time.Hour
	defaultScrubPeriod   = 168 * time.Hour
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
	period, _, err := c.Period.Duration()
	switch {
	case err != nil:
		r.report("scrub.period", "%q: write a duration such as 168h, or never", c.Period)
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
		r.report("sweep.interval", "%q: write a duration above 0s, such as 1h, or never", c.Interval)
	case c.Interval != "":
		o.Interval = interval
	}
	grace, ok, err := c.Grace.Duration()
	switch {
	case err != nil:
		r.report("sweep.grace", "%q: write a duration such as 1h or 0s", c.Grace)
	case ok:
		o.Grace = grace
	}
	return o
}

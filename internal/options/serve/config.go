package serve

import (
	"fmt"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/options/configfile"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rewrite"
)

const (
	defaultCheckTimeout = 2 * time.Second
	defaultExpiryDelay  = 720 * time.Hour
)

// config is the configuration file.
type config struct {
	Registries     []configfile.Registry     `json:"registries"`
	Storage        map[string]map[string]any `json:"storage"`
	CheckTimeout   v1alpha1.Duration         `json:"checkTimeout"`
	UpdateInterval v1alpha1.Interval         `json:"updateInterval"`
	UpdateFilters  []string                  `json:"updateFilters"`
	ExpiryDelay    v1alpha1.Interval         `json:"expiryDelay"`
	Sweep          sweep                     `json:"sweep"`
	Scrub          scrub                     `json:"scrub"`
	Store          limit                     `json:"store"`
	Webhook        rewrite.Config            `json:"webhook"`
	ObjectStorage  objectStorage             `json:"objectStorage"`
	Events         eventsKey                 `json:"events"`
	AllowedOrigins []string                  `json:"allowedOrigins"`
}

// readConfig reads the configuration file; one that is missing is empty, unless it is required.
func readConfig(path string, required bool) (Cache, error) {
	text, err := configfile.Read(path, required)
	if err != nil {
		return Cache{}, err
	}
	return parseConfig(path, text)
}

// ReadDefaults reads of the configuration file what holds where no Repository says otherwise; a file that is missing is empty, unless it is
// required. What the file says of registries and storage is not looked at: the files it names may be elsewhere.
func ReadDefaults(path string, required bool) (policy.Defaults, error) {
	text, err := configfile.Read(path, required)
	if err != nil {
		return policy.Defaults{}, err
	}
	r := reader{configfile.New(path)}
	var c config
	r.Decode(text, &c)
	if err := r.Err(); err != nil {
		return policy.Defaults{}, err
	}
	defaults := r.defaults(&c)
	return defaults, r.Err()
}

// readFile returns nothing for a file that is missing, unless it is required.
func parseConfig(path string, text []byte) (Cache, error) {
	r := reader{configfile.New(path)}
	var c config
	r.Decode(text, &c)
	if err := r.Err(); err != nil {
		return Cache{}, err
	}
	o := r.options(&c)
	if err := r.Err(); err != nil {
		return Cache{}, err
	}
	return o, nil
}

// reader reads the file of a process that owns a cache.
type reader struct{ *configfile.Reader }

func (r *reader) options(c *config) Cache {
	return Cache{
		Registries:   r.Registries(c.Registries),
		Allowed:      r.Allowed(c.AllowedOrigins),
		Storage:      r.storage(c.Storage, c.ObjectStorage),
		CheckTimeout: r.checkTimeout(c.CheckTimeout),
		Defaults:     r.defaults(c),
		ExpiryDelay:  r.expiryDelay(c.ExpiryDelay),
		Sweep:        r.sweep(c.Sweep),
		ScrubPeriod:  r.scrub(c.Scrub),
		Limit:        r.limit(c.Store),
		Events:       r.events(c.Events),
	}
}

func (r *reader) checkTimeout(value v1alpha1.Duration) time.Duration {
	timeout, ok, err := value.Duration()
	switch {
	case err != nil:
		r.Report("checkTimeout", "%q: write a duration such as 2s or 500ms", value)
	case !ok:
		return defaultCheckTimeout
	case timeout == 0:
		r.Report("checkTimeout", "%q: write a duration above 0s, such as 2s", value)
	}
	return timeout
}

func (r *reader) expiryDelay(value v1alpha1.Interval) time.Duration {
	delay, ok, err := value.Duration()
	switch {
	case err != nil, ok && delay == 0:
		r.Report("expiryDelay", "%q: write a duration above 0s, such as 720h, or never", value)
	case value == "":
		return defaultExpiryDelay
	}
	return delay
}

func (r *reader) defaults(c *config) policy.Defaults {
	defaults := policy.Defaults{Filters: c.UpdateFilters}
	interval, ok, err := c.UpdateInterval.Duration()
	if err != nil {
		r.Report("updateInterval", "%q: %s", c.UpdateInterval, err)
	}
	if ok {
		defaults.Interval = &interval
	}
	for i, filter := range c.UpdateFilters {
		if err := v1alpha1.ValidateFilter(filter); err != nil {
			r.Report(fmt.Sprintf("updateFilters[%d]", i), "%q: %s", filter, err)
		}
	}
	return defaults
}

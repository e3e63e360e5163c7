package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/internal/strictyaml"
)

const (
	defaultCheckTimeout = 2 * time.Second
	defaultExpiryDelay  = 720 * time.Hour
)

// config is the configuration file.
type config struct {
	Registries     []registry                `json:"registries"`
	Storage        map[string]map[string]any `json:"storage"`
	CheckTimeout   v1alpha1.Duration         `json:"checkTimeout"`
	UpdateInterval v1alpha1.Interval         `json:"updateInterval"`
	UpdateFilters  []string                  `json:"updateFilters"`
	ExpiryDelay    v1alpha1.Interval         `json:"expiryDelay"`
	Webhook        rewrite.Config            `json:"webhook"`
	ObjectStorage  objectStorage             `json:"objectStorage"`
}

// readConfig reads the configuration file; one that is missing is empty, unless it is required.
func readConfig(path string, required bool) (Cache, error) {
	text, err := readFile(path, required)
	if err != nil {
		return Cache{}, err
	}
	return parseConfig(path, text)
}

// ReadDefaults reads of the configuration file what holds where no Repository says otherwise; a file that is missing is empty, unless it is
// required. What the file says of registries and storage is not looked at: the files it names may be elsewhere.
func ReadDefaults(path string, required bool) (policy.Defaults, error) {
	text, err := readFile(path, required)
	if err != nil {
		return policy.Defaults{}, err
	}
	r := reader{path: path}
	var c config
	r.decode(text, &c)
	if err := r.err(); err != nil {
		return policy.Defaults{}, err
	}
	defaults := r.defaults(&c)
	return defaults, r.err()
}

// readFile returns nothing for a file that is missing, unless it is required.
func readFile(path string, required bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the configuration file: %w", err)
	}
	return text, nil
}

func parseConfig(path string, text []byte) (Cache, error) {
	r := reader{path: path}
	var c config
	r.decode(text, &c)
	if err := r.err(); err != nil {
		return Cache{}, err
	}
	o := r.options(&c)
	if err := r.err(); err != nil {
		return Cache{}, err
	}
	return o, nil
}

// reader turns a configuration file into options, and collects what is wrong with it.
type reader struct {
	path     string
	document strictyaml.Document
	problems []strictyaml.Problem
}

func (r *reader) decode(text []byte, c *config) {
	documents, problems := strictyaml.Parse(text)
	switch {
	case len(problems) > 0 || len(documents) == 0:
	case len(documents) > 1:
		problems = []strictyaml.Problem{{Line: documents[1].Line(), Reason: "a second document: write a single one"}}
	default:
		r.document = documents[0]
		problems = r.document.Decode(c)
	}
	r.problems = append(r.problems, problems...)
}

func (r *reader) report(field, format string, args ...any) {
	r.problems = append(r.problems,
		strictyaml.Problem{Line: r.document.LineOf(field), Field: field, Reason: fmt.Sprintf(format, args...)})
}

// err returns all that is wrong, in the order of its lines, each worded as "larder.yaml:4: registries[0].host: ...".
func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b strictyaml.Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, 0, len(r.problems))
	for _, p := range r.problems {
		where := r.path
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, p.Line)
		}
		if p.Field != "" {
			where += ": " + p.Field
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, p.Reason))
	}
	return errors.Join(errs...)
}

// relative resolves a path against the folder of the configuration file.
func (r *reader) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.path), path)
}

func (r *reader) options(c *config) Cache {
	return Cache{
		Registries:   r.registries(c.Registries),
		Storage:      r.storage(c.Storage, c.ObjectStorage),
		CheckTimeout: r.checkTimeout(c.CheckTimeout),
		Defaults:     r.defaults(c),
		ExpiryDelay:  r.expiryDelay(c.ExpiryDelay),
	}
}

func (r *reader) checkTimeout(value v1alpha1.Duration) time.Duration {
	timeout, ok, err := value.Duration()
	switch {
	case err != nil:
		r.report("checkTimeout", "%q: write a duration such as 2s or 500ms", value)
	case !ok:
		return defaultCheckTimeout
	case timeout == 0:
		r.report("checkTimeout", "%q: write a duration above 0s, such as 2s", value)
	}
	return timeout
}

func (r *reader) expiryDelay(value v1alpha1.Interval) time.Duration {
	delay, ok, err := value.Duration()
	switch {
	case err != nil, ok && delay == 0:
		r.report("expiryDelay", "%q: write a duration above 0s, such as 720h, or never", value)
	case value == "":
		return defaultExpiryDelay
	}
	return delay
}

func (r *reader) defaults(c *config) policy.Defaults {
	defaults := policy.Defaults{Filters: c.UpdateFilters}
	interval, ok, err := c.UpdateInterval.Duration()
	if err != nil {
		r.report("updateInterval", "%q: %s", c.UpdateInterval, err)
	}
	if ok {
		defaults.Interval = &interval
	}
	for i, filter := range c.UpdateFilters {
		if err := v1alpha1.ValidateFilter(filter); err != nil {
			r.report(fmt.Sprintf("updateFilters[%d]", i), "%q: %s", filter, err)
		}
	}
	return defaults
}

package policy

import (
	"fmt"
	"regexp"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rule is what holds for the tags of one repository.
type rule struct {
	decision      Decision // of the tags that the filters match
	filters       []*regexp.Regexp
	platforms     []string
	secrets       []string              // names of pull secrets
	origins       []imageref.Repository // where the images come from; none: from the repository itself
	immutableTags []string              // the expressions themselves: for those who decide elsewhere
}

// matches says whether a filter matches the tag, or there is none (T4).
func (r *rule) matches(repo imageref.Repository, tag string) bool {
	if len(r.filters) == 0 {
		return true
	}
	full := repo.Host + "/" + repo.Path + ":" + tag
	short := repo.Short() + ":" + tag
	for _, filter := range r.filters {
		if filter.MatchString(full) || filter.MatchString(short) {
			return true
		}
	}
	return false
}

func newDefaultRule(d Defaults) (rule, error) {
	if d.Interval == nil {
		return rule{}, nil
	}
	filters, err := compileFilters(d.Filters)
	return rule{decision: Decision{Check: true, Interval: *d.Interval}, filters: filters}, err
}

// newRule makes the rule of a Repository that is valid by itself. What it inherits may still not fit it.
func newRule(spec *v1alpha1.RepositorySpec, defaults *rule) (rule, *field.Error) {
	r := rule{platforms: spec.Platforms, secrets: spec.PullSecretNames, immutableTags: spec.ImmutableTags}
	if invalid := r.setOrigins(spec); invalid != nil {
		return rule{}, invalid
	}
	interval, ok, err := spec.UpdateInterval.Duration()
	switch {
	case err != nil:
		return rule{}, field.Invalid(intervalPath, spec.UpdateInterval, err.Error())
	case ok:
		r.decision = Decision{Check: true, Interval: interval}
	case !spec.UpdateInterval.IsNever():
		r.decision, r.filters = defaults.decision, defaults.filters
	}
	if len(spec.UpdateFilters) > 0 {
		if r.filters, err = compileFilters(spec.UpdateFilters); err != nil {
			return rule{}, field.Invalid(field.NewPath("spec", "updateFilters"), spec.UpdateFilters, err.Error())
		}
	}
	if invalid := r.setPeriodic(spec); invalid != nil {
		return rule{}, invalid
	}
	if invalid := r.setMaxStale(spec); invalid != nil {
		return rule{}, invalid
	}
	return r, nil
}

var intervalPath = field.NewPath("spec", "updateInterval")

// setPeriodic applies updateMode to the interval in force (T8).
func (r *rule) setPeriodic(spec *v1alpha1.RepositorySpec) *field.Error {
	if spec.UpdateMode != v1alpha1.UpdatePeriodic {
		return nil
	}
	if !r.decision.Check || r.decision.Interval < v1alpha1.MinPeriodicInterval {
		return field.Invalid(intervalPath, spec.UpdateInterval,
			"updateMode Periodic needs an interval of at least 1m, and the default is none: write one")
	}
	r.decision.Periodic = true
	return nil
}

// setMaxStale applies maxStale to the interval in force (T10).
func (r *rule) setMaxStale(spec *v1alpha1.RepositorySpec) *field.Error {
	path := field.NewPath("spec", "maxStale")
	maxStale, ok, err := spec.MaxStale.Duration()
	switch {
	case err != nil:
		return field.Invalid(path, spec.MaxStale, err.Error())
	case !ok:
		return nil
	case !r.decision.Check:
		return field.Invalid(path, spec.MaxStale,
			"a tag that is never checked cannot become stale, and the default interval is never: set updateInterval")
	case maxStale < r.decision.Interval:
		return field.Invalid(path, spec.MaxStale,
			fmt.Sprintf("shorter than the default interval: write at least %s, or set updateInterval", r.decision.Interval))
	}
	r.decision.MaxStale = maxStale
	return nil
}

func compileFilters(filters []string) ([]*regexp.Regexp, error) {
	compiled := make([]*regexp.Regexp, 0, len(filters))
	for _, filter := range filters {
		if err := v1alpha1.ValidateFilter(filter); err != nil {
			return nil, fmt.Errorf("filter %q: %w", filter, err)
		}
		expression, err := regexp.Compile(filter)
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", filter, err)
		}
		compiled = append(compiled, expression)
	}
	return compiled, nil
}

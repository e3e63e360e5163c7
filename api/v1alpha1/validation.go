package v1alpha1

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The limits and patterns of the schema: what an API server refuses, Validate refuses too. A test holds them together.
const (
	maxNameLength        = 512
	maxSourceImageLength = 800
	maxFilters           = 64
	maxFilterLength      = 256
	maxPlatforms         = 32
	maxPlatformLength    = 64
	maxPullSecretNames   = 16
	maxHistoryLimit      = 100
	maxFallbackOrigins   = 8
	maxDigestLength      = 135

	hostLabel     = `[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
	portPattern   = `(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})`
	hostPattern   = `(` + hostLabel + `([.]` + hostLabel + `)*|[[][a-fA-F0-9]*:[a-fA-F0-9:]*[]])(:[0-9]+)?`
	pathComponent = `[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*`
	namespace     = `[a-z0-9]+((__?|-+)[a-z0-9]+)*` // of Docker Hub: a first component with a period is a host

	namePattern     = `(` + pathComponent + `|(` + hostPattern + `|` + namespace + `)(/` + pathComponent + `)+)`
	digestPattern   = `(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})`
	imagePattern    = namePattern + `(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(@` + digestPattern + `)?`
	platformPattern = `[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?`
)

const (
	nameHint     = "write a repository in lower case, without tag or digest, such as docker.io/library/postgres or reg.example:5000/team/app"
	imageHint    = "write an image as a pod names it, its repository in lower case, such as postgres:15 or reg.example:5000/team/app@sha256:<64 hex digits>"
	portHint     = "write a port from 1 to 65535"
	platformHint = "write os/architecture or os/architecture/variant, such as linux/amd64 or linux/arm64/v8"
	filterHint   = "write a regular expression in RE2 syntax, such as ':15$' or 'latest'"
	digestHint   = "write a digest such as sha256:<64 hex digits>"
	historyHint  = "write a number from 1 to 100, or leave historyLimit out for 5"
	ttlHint      = "write a duration above 0s, or leave grantTTL out to keep what an origin allowed"
	pinnedHint   = "sourceImage has a digest already: pin an image that is named by tag alone, or leave pinnedDigest out"
	secretHint   = "write the name of a Secret in Larder's namespace, of lower-case letters, digits, dashes and periods"
)

var (
	nameRegexp     = regexp.MustCompile("^" + namePattern + "$")
	imageRegexp    = regexp.MustCompile("^" + imagePattern + "$")
	portedRegexp   = regexp.MustCompile("^[^/]*:[0-9]+/")
	portRegexp     = regexp.MustCompile("^[^/]*:" + portPattern + "/")
	digestRegexp   = regexp.MustCompile("^" + digestPattern + "$")
	platformRegexp = regexp.MustCompile("^" + platformPattern + "$")
)

// Validate returns what is wrong with the Repository's spec, by field, with what to write instead: what the schema of the
// CustomResourceDefinition refuses, for objects that no API server has seen.
func (r *Repository) Validate() field.ErrorList {
	spec, path := &r.Spec, field.NewPath("spec")
	errs := validateText(path.Child("name"), spec.Name, maxNameLength, nameRegexp, nameHint)
	errs = append(errs, validateFreshness(path, spec)...)
	errs = append(errs, validateFilters(path.Child("updateFilters"), spec.UpdateFilters)...)
	errs = append(errs, validateChoice(path.Child("updateMode"), spec.UpdateMode, UpdateOnPull, UpdatePeriodic)...)
	errs = append(errs, validatePlatforms(path.Child("platforms"), spec.Platforms)...)
	errs = append(errs, validateSecretNames(path.Child("pullSecretNames"), spec.PullSecretNames)...)
	errs = append(errs, validateChoice(path.Child("access"), spec.Access, AccessGranted, AccessShared)...)
	errs = append(errs, validateGrantTTL(path.Child("grantTTL"), spec.GrantTTL)...)
	errs = append(errs, validateHistoryLimit(path.Child("historyLimit"), spec.HistoryLimit)...)
	errs = append(errs, validateFilters(path.Child("immutableTags"), spec.ImmutableTags)...)
	errs = append(errs, validateOrigins(path, spec)...)
	return append(errs, validateChoice(path.Child("onUpdate"), spec.OnUpdate, OnUpdateNone, OnUpdateRestart)...)
}

// Validate returns what is wrong with the CachedImage's spec, by field, with what to write instead.
func (c *CachedImage) Validate() field.ErrorList {
	path, pinned := field.NewPath("spec"), c.Spec.PinnedDigest
	errs := validateText(path.Child("sourceImage"), c.Spec.SourceImage, maxSourceImageLength, imageRegexp, imageHint)
	switch {
	case pinned == "":
	case strings.Contains(c.Spec.SourceImage, "@"):
		errs = append(errs, field.Invalid(path.Child("pinnedDigest"), pinned, pinnedHint))
	default:
		errs = append(errs, validateText(path.Child("pinnedDigest"), pinned, maxDigestLength, digestRegexp, digestHint)...)
	}
	return errs
}

func validateText(path *field.Path, value string, limit int, pattern *regexp.Regexp, hint string) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, hint)}
	case utf8.RuneCountInString(value) > limit:
		return field.ErrorList{field.TooLong(path, value, limit)}
	case !pattern.MatchString(value):
		return field.ErrorList{field.Invalid(path, value, hint)}
	case portedRegexp.MatchString(value) && !portRegexp.MatchString(value):
		return field.ErrorList{field.Invalid(path, value, portHint)}
	}
	return nil
}

func validateChoice[T ~string](path *field.Path, value T, choices ...T) field.ErrorList {
	if value == "" || slices.Contains(choices, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, choices)}
}

func validateFreshness(path *field.Path, spec *RepositorySpec) field.ErrorList {
	var errs field.ErrorList
	interval, hasInterval, err := spec.UpdateInterval.Duration()
	switch {
	case err != nil:
		errs = append(errs, field.Invalid(path.Child("updateInterval"), spec.UpdateInterval, err.Error()))
	case spec.UpdateMode == UpdatePeriodic:
		errs = append(errs, validatePeriodic(path.Child("updateInterval"), spec.UpdateInterval, interval, hasInterval)...)
	}
	maxStale, hasMaxStale, err := spec.MaxStale.Duration()
	switch {
	case err != nil:
		errs = append(errs, field.Invalid(path.Child("maxStale"), spec.MaxStale, err.Error()))
	case hasMaxStale:
		errs = append(errs, validateMaxStale(path.Child("maxStale"), spec, maxStale, interval)...)
	}
	return errs
}

func validatePeriodic(path *field.Path, value Interval, interval time.Duration, ok bool) field.ErrorList {
	switch {
	case value.IsNever():
		return field.ErrorList{field.Invalid(path, value,
			"updateMode Periodic needs an interval: write a duration of at least 1m, or leave updateMode out")}
	case ok && interval < MinPeriodicInterval:
		return field.ErrorList{field.Invalid(path, value,
			"too short for updateMode Periodic: write at least 1m, or leave updateMode out to check when the tag is pulled")}
	}
	return nil
}

func validateMaxStale(path *field.Path, spec *RepositorySpec, maxStale, interval time.Duration) field.ErrorList {
	var hint string
	switch {
	case maxStale == 0:
		hint = "write a duration above 0s, or leave maxStale out to serve a copy for as long as its origin does not answer"
	case spec.UpdateInterval.IsNever():
		hint = "a tag that is never checked cannot become stale: set updateInterval to a duration, or leave maxStale out"
	case maxStale < interval:
		hint = "shorter than updateInterval, within which a copy is not checked: write at least updateInterval"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, spec.MaxStale, hint)}
}

func validateFilters(path *field.Path, filters []string) field.ErrorList {
	if len(filters) > maxFilters {
		return field.ErrorList{field.TooMany(path, len(filters), maxFilters)}
	}
	var errs field.ErrorList
	for i, filter := range filters {
		if err := ValidateFilter(filter); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), filter, err.Error()))
		}
	}
	return errs
}

// ValidateFilter says what is wrong with one of the regular expressions that choose tags, and what to write.
func ValidateFilter(filter string) error {
	switch {
	case filter == "":
		return fmt.Errorf("empty: %s, or leave the list out", filterHint)
	case utf8.RuneCountInString(filter) > maxFilterLength:
		return fmt.Errorf("longer than %d characters: write several shorter filters, of which one match is enough", maxFilterLength)
	}
	if _, err := regexp.Compile(filter); err != nil {
		return fmt.Errorf("%s: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "), filterHint)
	}
	return nil
}

func validateGrantTTL(path *field.Path, value Duration) field.ErrorList {
	ttl, ok, err := value.Duration()
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	case ok && ttl == 0:
		return field.ErrorList{field.Invalid(path, value, ttlHint)}
	}
	return nil
}

func validateHistoryLimit(path *field.Path, limit *int32) field.ErrorList {
	if limit == nil || *limit >= 1 && *limit <= maxHistoryLimit {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *limit, historyHint)}
}

func validateOrigins(path *field.Path, spec *RepositorySpec) field.ErrorList {
	var errs field.ErrorList
	if spec.Origin != "" {
		errs = validateText(path.Child("origin"), spec.Origin, maxNameLength, nameRegexp, nameHint)
	}
	path = path.Child("fallbackOrigins")
	if len(spec.FallbackOrigins) > maxFallbackOrigins {
		return append(errs, field.TooMany(path, len(spec.FallbackOrigins), maxFallbackOrigins))
	}
	for i, origin := range spec.FallbackOrigins {
		errs = append(errs, validateText(path.Index(i), origin, maxNameLength, nameRegexp, nameHint)...)
	}
	return errs
}

func validatePlatforms(path *field.Path, platforms []string) field.ErrorList {
	if len(platforms) > maxPlatforms {
		return field.ErrorList{field.TooMany(path, len(platforms), maxPlatforms)}
	}
	errs := validateUnique(path, platforms)
	for i, platform := range platforms {
		errs = append(errs, validateText(path.Index(i), platform, maxPlatformLength, platformRegexp, platformHint)...)
	}
	return errs
}

func validateSecretNames(path *field.Path, names []string) field.ErrorList {
	if len(names) > maxPullSecretNames {
		return field.ErrorList{field.TooMany(path, len(names), maxPullSecretNames)}
	}
	errs := validateUnique(path, names)
	for i, name := range names {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			errs = append(errs, field.Invalid(path.Index(i), name, secretHint))
		}
	}
	return errs
}

func validateUnique(path *field.Path, values []string) field.ErrorList {
	var errs field.ErrorList
	for i, value := range values {
		if slices.Contains(values[:i], value) {
			errs = append(errs, field.Duplicate(path.Index(i), value))
		}
	}
	return errs
}

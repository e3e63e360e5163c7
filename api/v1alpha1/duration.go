package v1alpha1

import (
	"errors"
	"regexp"
	"time"
)

// Never is the Interval of what is not to happen at all.
const Never Interval = "never"

// MinPeriodicInterval is the shortest interval at which Larder checks tags on its own.
const MinPeriodicInterval = time.Minute

// durationPattern is what the CEL rules of Interval and Duration match too. It is narrower than Go's durations, so that
// what it matches cannot overflow.
const durationPattern = `^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$`

const maxDurationLength = 16

const (
	intervalHint = "write a duration such as 1h, 90m or 1h30m, 0s (at every pull), or never"
	durationHint = "write a duration such as 24h, 90m or 1h30m"
)

var durationRegexp = regexp.MustCompile(durationPattern)

// Interval says how often something happens: a Go duration in hours, minutes, seconds and milliseconds ("1h", "90m", "1h30m"),
// "0s" for every time, or "never". The empty Interval is one that nobody set.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self == 'never' || self.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$')",message="write a duration such as 1h, 90m or 1h30m, 0s (at every pull), or never"
type Interval string

// IsNever says whether the interval is explicitly "never".
func (i Interval) IsNever() bool { return i == Never }

// Duration returns the interval's length, and whether it has one: not where it is unset or "never".
func (i Interval) Duration() (d time.Duration, ok bool, err error) {
	if i == "" || i == Never {
		return 0, false, nil
	}
	d, err = parseDuration(string(i), intervalHint)
	return d, err == nil, err
}

// Duration is a length of time: a Go duration in hours, minutes, seconds and milliseconds ("24h", "90m", "1h30m"). The empty
// Duration is one that nobody set.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$')",message="write a duration such as 24h, 90m or 1h30m"
type Duration string

// Duration returns the length, and whether it is set.
func (d Duration) Duration() (length time.Duration, ok bool, err error) {
	if d == "" {
		return 0, false, nil
	}
	length, err = parseDuration(string(d), durationHint)
	return length, err == nil, err
}

func parseDuration(s, hint string) (time.Duration, error) {
	if len(s) > maxDurationLength || !durationRegexp.MatchString(s) {
		return 0, errors.New(hint)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New(hint)
	}
	return d, nil
}

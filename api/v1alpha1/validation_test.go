package v1alpha1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/api"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func fields(errs field.ErrorList) []string {
	var found []string
	for _, err := range errs {
		found = append(found, err.Field)
	}
	return found
}

func TestRepository_Validate(t *testing.T) {
	t.Parallel()
	for name, tt := range api.Repositories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := v1alpha1.Repository{Spec: tt.Spec}
			if diff := cmp.Diff(tt.Wrong, fields(repository.Validate())); diff != "" {
				t.Errorf("fields that are wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCachedImage_Validate(t *testing.T) {
	t.Parallel()
	for image, valid := range api.Images() {
		c := v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{SourceImage: image}}
		if errs := c.Validate(); (len(errs) == 0) != valid {
			t.Errorf("Validate of %q = %v, want valid: %v", image, errs, valid)
		}
	}
}

func TestInterval_Duration(t *testing.T) {
	t.Parallel()
	type result struct {
		Duration time.Duration
		OK       bool
		Failed   bool
	}
	for interval, want := range map[v1alpha1.Interval]result{
		"":                   {},
		"never":              {},
		"0s":                 {0, true, false},
		"1h":                 {time.Hour, true, false},
		"1h30m":              {90 * time.Minute, true, false},
		"1.5h":               {90 * time.Minute, true, false},
		"500ms":              {500 * time.Millisecond, true, false},
		"999999h999999h9h":   {(2*999999 + 9) * time.Hour, true, false},
		"Never":              {Failed: true},
		"1h ":                {Failed: true},
		"9999999h":           {Failed: true},
		"1h1h1h1h1h1h1h1h1h": {Failed: true},
	} {
		d, ok, err := interval.Duration()
		if diff := cmp.Diff(want, result{d, ok, err != nil}); diff != "" {
			t.Errorf("Duration of %q (-want +got):\n%s", interval, diff)
		}
	}
}

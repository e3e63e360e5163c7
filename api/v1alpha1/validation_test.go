package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/api/v1alpha1"
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
	many := strings.Split(strings.Repeat("latest,", 64)+"latest", ",")
	for name, tt := range map[string]struct {
		spec v1alpha1.RepositorySpec
		want []string
	}{
		"A name is enough":                    {v1alpha1.RepositorySpec{Name: "postgres"}, nil},
		"A host with a port":                  {v1alpha1.RepositorySpec{Name: "reg.example:5000/team/app"}, nil},
		"An IPv6 host":                        {v1alpha1.RepositorySpec{Name: "[fd00::1]:5000/team/a__b"}, nil},
		"No name":                             {v1alpha1.RepositorySpec{}, []string{"spec.name"}},
		"A name with a tag":                   {v1alpha1.RepositorySpec{Name: "postgres:15"}, []string{"spec.name"}},
		"A name with a digest":                {v1alpha1.RepositorySpec{Name: "postgres@sha256:00"}, []string{"spec.name"}},
		"A name in capitals":                  {v1alpha1.RepositorySpec{Name: "docker.io/Postgres"}, []string{"spec.name"}},
		"A name that is too long":             {v1alpha1.RepositorySpec{Name: strings.Repeat("a", 513)}, []string{"spec.name"}},
		"An interval in days":                 {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "1d"}, []string{"spec.updateInterval"}},
		"A negative interval":                 {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "-1h"}, []string{"spec.updateInterval"}},
		"A bare number":                       {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "60"}, []string{"spec.updateInterval"}},
		"A filter that is no regexp":          {v1alpha1.RepositorySpec{Name: "a", UpdateFilters: []string{"ok", "("}}, []string{"spec.updateFilters[1]"}},
		"A filter that only Perl knows":       {v1alpha1.RepositorySpec{Name: "a", UpdateFilters: []string{"(?=x)"}}, []string{"spec.updateFilters[0]"}},
		"An empty filter":                     {v1alpha1.RepositorySpec{Name: "a", UpdateFilters: []string{""}}, []string{"spec.updateFilters[0]"}},
		"Too many filters":                    {v1alpha1.RepositorySpec{Name: "a", UpdateFilters: many}, []string{"spec.updateFilters"}},
		"An unknown mode":                     {v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Always"}, []string{"spec.updateMode"}},
		"Periodic at one minute":              {v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "1m"}, nil},
		"Periodic with the default interval":  {v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic"}, nil},
		"Periodic below one minute":           {v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "59s"}, []string{"spec.updateInterval"}},
		"Periodic and never":                  {v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic", UpdateInterval: "never"}, []string{"spec.updateInterval"}},
		"A maxStale as long as the interval":  {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "1h", MaxStale: "60m"}, nil},
		"A maxStale below the interval":       {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "1h", MaxStale: "59m"}, []string{"spec.maxStale"}},
		"A maxStale of nothing":               {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "0s", MaxStale: "0s"}, []string{"spec.maxStale"}},
		"A maxStale that never comes":         {v1alpha1.RepositorySpec{Name: "a", UpdateInterval: "never", MaxStale: "1h"}, []string{"spec.maxStale"}},
		"A maxStale of never":                 {v1alpha1.RepositorySpec{Name: "a", MaxStale: "never"}, []string{"spec.maxStale"}},
		"Platforms":                           {v1alpha1.RepositorySpec{Name: "a", Platforms: []string{"linux/amd64", "linux/arm64/v8"}}, nil},
		"A platform without architecture":     {v1alpha1.RepositorySpec{Name: "a", Platforms: []string{"linux"}}, []string{"spec.platforms[0]"}},
		"A platform twice":                    {v1alpha1.RepositorySpec{Name: "a", Platforms: []string{"linux/amd64", "linux/amd64"}}, []string{"spec.platforms[1]"}},
		"A secret name that none can have":    {v1alpha1.RepositorySpec{Name: "a", PullSecretNames: []string{"Hub_Secret"}}, []string{"spec.pullSecretNames[0]"}},
		"An unknown access":                   {v1alpha1.RepositorySpec{Name: "a", Access: "Public"}, []string{"spec.access"}},
		"Several mistakes are told at a time": {v1alpha1.RepositorySpec{UpdateInterval: "x", Access: "y"}, []string{"spec.name", "spec.updateInterval", "spec.access"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := v1alpha1.Repository{Spec: tt.spec}
			if diff := cmp.Diff(tt.want, fields(repository.Validate())); diff != "" {
				t.Errorf("fields that are wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCachedImage_Validate(t *testing.T) {
	t.Parallel()
	sha := "sha256:" + strings.Repeat("0", 64)
	for image, valid := range map[string]bool{
		"postgres":                             true,
		"postgres:15":                          true,
		"postgres@" + sha:                      true,
		"reg.example:5000/a/b:1.0_x@" + sha:    true,
		"a@sha512:" + strings.Repeat("f", 128): true,
		"":                                     false,
		"postgres:":                            false,
		"postgres@sha256:12":                   false,
		"https://docker.io/postgres":           false,
		"postgres:15 ":                         false,
		"a:" + strings.Repeat("x", 129):        false,
	} {
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

package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCompile_ReportsWhatIsNotInForce(t *testing.T) {
	t.Parallel()
	minute := every(time.Minute)
	for name, tt := range map[string]struct {
		defaults policy.Defaults
		spec     v1alpha1.RepositorySpec
		want     string // the field
	}{
		"A bad filter":                        {minute, v1alpha1.RepositorySpec{Name: "a", UpdateFilters: []string{"("}}, "spec.updateFilters[0]"},
		"A name that only looks like one":     {minute, v1alpha1.RepositorySpec{Name: "reg.example:99999/a"}, "spec.name"},
		"Periodic without any interval, T8":   {policy.Defaults{}, v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic"}, "spec.updateInterval"},
		"Periodic with a short default, T8":   {every(time.Second), v1alpha1.RepositorySpec{Name: "a", UpdateMode: "Periodic"}, "spec.updateInterval"},
		"maxStale without any interval, T10":  {policy.Defaults{}, v1alpha1.RepositorySpec{Name: "a", MaxStale: "1h"}, "spec.maxStale"},
		"maxStale within the default one,T10": {every(time.Hour), v1alpha1.RepositorySpec{Name: "a", MaxStale: "59m"}, "spec.maxStale"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, problems := policy.Compile([]v1alpha1.Repository{repository("r", tt.spec)}, nil, tt.defaults)
			want := []policy.Problem{{Kind: "Repository", Name: "r", Field: tt.want}}
			if diff := cmp.Diff(want, problems, cmpopts.IgnoreFields(policy.Problem{}, "Reason")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			repo, tag := parse(t, "a:1")
			if got, want := set.Decide(repo, tag).Check, tt.defaults.Interval != nil; got != want {
				t.Errorf("Check = %v, want the default's %v", got, want)
			}
		})
	}
}

func TestCompile_BadImageIsReported(t *testing.T) {
	t.Parallel()
	set, problems := policy.Compile(nil, []v1alpha1.CachedImage{image("bad", "nginx:"), image("good", "nginx:1")}, policy.Defaults{})
	if len(problems) != 1 || problems[0].Name != "bad" || problems[0].Field != "spec.sourceImage" {
		t.Errorf("problems = %v, want one with spec.sourceImage of bad", problems)
	}
	if len(set.Images()) != 1 {
		t.Errorf("images = %v, want the good one", set.Images())
	}
}

func TestCompile_BadDefaultFilterChecksNothing(t *testing.T) {
	t.Parallel()
	defaults := every(time.Hour)
	defaults.Filters = []string{"("}
	set, problems := policy.Compile(nil, nil, defaults)
	if len(problems) != 1 || problems[0].Field != "updateFilters" {
		t.Errorf("problems = %v, want one with updateFilters", problems)
	}
	if repo, tag := parse(t, "a:1"); set.Decide(repo, tag).Check {
		t.Error("tags are checked by a default that is not valid")
	}
}

func TestCompile_OlderRepositoryWins(t *testing.T) {
	t.Parallel()
	at := func(name, interval string, age time.Duration) v1alpha1.Repository {
		r := repository(name, v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: v1alpha1.Interval(interval)})
		if age > 0 {
			r.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-age))
		}
		return r
	}
	for name, tt := range map[string]struct {
		repositories []v1alpha1.Repository
		loser        string
	}{
		"By age":                      {[]v1alpha1.Repository{at("a", "2h", time.Hour), at("b", "1h", 2*time.Hour)}, "a"},
		"Of one age by name":          {[]v1alpha1.Repository{at("b", "2h", time.Hour), at("a", "1h", time.Hour)}, "b"},
		"Without an age by the order": {[]v1alpha1.Repository{at("b", "1h", 0), at("a", "2h", 0)}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, problems := policy.Compile(tt.repositories, nil, policy.Defaults{})
			if len(problems) != 1 || problems[0].Name != tt.loser || !problems[0].Conflict {
				t.Errorf("problems = %v, want a conflict of %s", problems, tt.loser)
			}
			repo, tag := parse(t, "postgres:15")
			if got := set.Decide(repo, tag).Interval; got != time.Hour {
				t.Errorf("interval = %v, want the winner's 1h", got)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	var current policy.Current
	repo, tag := parse(t, "a:1")
	if current.Load().Decide(repo, tag).Check || current.Load().Named(repo, tag) {
		t.Error("the zero Current decides something")
	}
	before := current.Generation()
	set := compile(t, every(0))
	current.Store(set)
	if current.Load() != set || current.Generation() == before {
		t.Error("Store changes neither the Set nor the generation")
	}
}

package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func repository(name string, spec v1alpha1.RepositorySpec) v1alpha1.Repository {
	return v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

func image(name, source string) v1alpha1.CachedImage {
	return v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: source}}
}

func parse(t testing.TB, image string) (imageref.Repository, string) {
	t.Helper()
	ref, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Repository, ref.Tag
}

func compile(t testing.TB, defaults policy.Defaults, specs ...v1alpha1.RepositorySpec) *policy.Set {
	t.Helper()
	var repositories []v1alpha1.Repository
	for _, spec := range specs {
		repositories = append(repositories, repository("r", spec))
	}
	set, problems := policy.Compile(repositories, nil, defaults)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

func every(d time.Duration) policy.Defaults { return policy.Defaults{Interval: &d} }

func TestSet_T3_IntervalInForce(t *testing.T) {
	t.Parallel()
	hourly := policy.Decision{Check: true, Interval: time.Hour}
	for name, tt := range map[string]struct {
		defaults policy.Defaults
		spec     *v1alpha1.RepositorySpec
		want     policy.Decision
	}{
		"No policy at all never checks (T2)":       {want: policy.Decision{}},
		"The default holds without a Repository":   {defaults: every(time.Hour), want: hourly},
		"A default of 0s checks every time":        {defaults: every(0), want: policy.Decision{Check: true}},
		"An unset interval inherits the default":   {every(time.Hour), &v1alpha1.RepositorySpec{Name: "postgres"}, hourly},
		"An unset interval inherits none":          {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "postgres"}, policy.Decision{}},
		"An own interval wins over the default":    {every(time.Minute), &v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: "1h"}, hourly},
		"Never wins over the default":              {every(time.Hour), &v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: "never"}, policy.Decision{}},
		"0s checks every time":                     {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: "0s"}, policy.Decision{Check: true}},
		"Another repository is not concerned":      {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "mysql", UpdateInterval: "1h"}, policy.Decision{}},
		"The full form names the same repository":  {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "docker.io/library/postgres", UpdateInterval: "1h"}, hourly},
		"The default interval can be Periodic, T8": {every(time.Hour), &v1alpha1.RepositorySpec{Name: "postgres", UpdateMode: "Periodic"}, policy.Decision{Check: true, Interval: time.Hour, Periodic: true}},
		"A limit of the history without a check":   {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "postgres", HistoryLimit: new(int32(9))}, policy.Decision{HistoryLimit: 9}},
		"An immutable tag, in the full form":       {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "postgres", ImmutableTags: []string{"^docker.io/library/postgres:15$"}}, policy.Decision{Immutable: true}},
		"An immutable tag, in the short form":      {every(time.Hour), &v1alpha1.RepositorySpec{Name: "postgres", ImmutableTags: []string{"^x$", "^postgres:15$"}}, policy.Decision{Check: true, Interval: time.Hour, Immutable: true}},
		"Another tag is immutable":                 {policy.Defaults{}, &v1alpha1.RepositorySpec{Name: "postgres", ImmutableTags: []string{":15.1$"}}, policy.Decision{}},
		"maxStale comes with the check, T10":       {every(time.Hour), &v1alpha1.RepositorySpec{Name: "postgres", MaxStale: "24h"}, policy.Decision{Check: true, Interval: time.Hour, MaxStale: 24 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var specs []v1alpha1.RepositorySpec
			if tt.spec != nil {
				specs = append(specs, *tt.spec)
			}
			repo, tag := parse(t, "postgres:15")
			got := compile(t, tt.defaults, specs...).Decide(repo, tag)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSet_T4_Filters(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		filters    []string
		image      string
		want       bool
	}{
		"No filter means every tag":              {"postgres", nil, "postgres:any", true},
		"A tag exactly":                          {"postgres", []string{":15$"}, "postgres:15", true},
		"A tag exactly is not one that ends so":  {"postgres", []string{":15$"}, "postgres:9.15", false},
		"Unanchored":                             {"postgres", []string{"latest"}, "postgres:15-latest-alpine", true},
		"One match is enough":                    {"postgres", []string{"nothing", ":15$"}, "postgres:15", true},
		"None matches":                           {"postgres", []string{"nothing", "latest"}, "postgres:15", false},
		"The full form":                          {"postgres", []string{"^docker.io/library/postgres:15$"}, "postgres:15", true},
		"The short form":                         {"postgres", []string{"^postgres:15$"}, "postgres:15", true},
		"The short form of an organisation":      {"org/app", []string{"^org/app:1$"}, "docker.io/org/app:1", true},
		"No other host has a short form":         {"ghcr.io/org/app", []string{"^org/app:1$"}, "ghcr.io/org/app:1", false},
		"A host with a port":                     {"reg.example:5000/app", []string{"^reg[.]example:5000/app:1$"}, "reg.example:5000/app:1", true},
		"Alternatives and flags as RE2 has them": {"postgres", []string{"(?i):(LATEST|15)$"}, "postgres:latest", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := compile(t, policy.Defaults{}, v1alpha1.RepositorySpec{
				Name: tt.repository, UpdateInterval: "1h", UpdateFilters: tt.filters,
			})
			repo, tag := parse(t, tt.image)
			if got := set.Decide(repo, tag).Check; got != tt.want {
				t.Errorf("Check of %s = %v, want %v", tt.image, got, tt.want)
			}
		})
	}
}

func TestSet_T4_DefaultFilters(t *testing.T) {
	t.Parallel()
	defaults := every(time.Hour)
	defaults.Filters = []string{":latest$"}
	set := compile(t, defaults,
		v1alpha1.RepositorySpec{Name: "inherits-both", UpdateMode: "Periodic"},
		v1alpha1.RepositorySpec{Name: "own-interval", UpdateInterval: "2h"},
		v1alpha1.RepositorySpec{Name: "own-filters", UpdateFilters: []string{":1$"}},
	)
	for image, want := range map[string]bool{
		"no-repository:latest": true, "no-repository:1": false,
		"inherits-both:latest": true, "inherits-both:1": false,
		"own-interval:latest": true, "own-interval:1": true,
		"own-filters:latest": false, "own-filters:1": true,
	} {
		repo, tag := parse(t, image)
		if got := set.Decide(repo, tag).Check; got != want {
			t.Errorf("Check of %s = %v, want %v", image, got, want)
		}
	}
}

func TestSet_M5_NamedTags(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	set, problems := policy.Compile(nil, []v1alpha1.CachedImage{
		image("tag", "postgres:15"), image("none", "nginx"), image("digest", "redis"+digest), image("both", "mysql:8"+digest),
	}, policy.Defaults{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for image, want := range map[string]bool{
		"docker.io/library/postgres:15": true, "postgres:16": false, "quay.io/library/postgres:15": false,
		"nginx:latest": true, "redis:latest": false, "mysql:8": true,
	} {
		repo, tag := parse(t, image)
		if got := set.Named(repo, tag); got != want {
			t.Errorf("Named(%s) = %v, want %v", image, got, want)
		}
	}
	if repo, _ := parse(t, "redis:latest"); set.Named(repo, "") {
		t.Error("a digest names no tag, not even the empty one")
	}
}

func TestSet_UnusedTags(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	expires := func(image v1alpha1.CachedImage, retain bool) v1alpha1.CachedImage {
		image.Spec.ExpiresAt, image.Spec.Retain = new(metav1.Now()), retain
		return image
	}
	set, problems := policy.Compile(nil, []v1alpha1.CachedImage{
		expires(image("unused", "app:unused"), false), expires(image("kept", "app:kept"), true), image("used", "app:used"),
		image("first", "app:first"), expires(image("first-too", "app:first"), false),
		expires(image("last", "app:last"), false), image("last-too", "app:last"),
		expires(image("both", "app:both"), false), image("both-too", "app:both"+digest), expires(image("digest", "app:digest"+digest), false),
	}, policy.Defaults{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for tag, want := range map[string]bool{
		"unused": true, "kept": false, "used": false, "first": false, "last": false, "both": false, "digest": false, "unknown": false,
	} {
		repo, _ := parse(t, "app:"+tag)
		if got := set.Unused(repo, tag); got != want {
			t.Errorf("Unused(%s) = %v, want %v", tag, got, want)
		}
	}
}

func TestSet_Images(t *testing.T) {
	t.Parallel()
	kept := image("second", "docker.io/library/nginx:1")
	kept.Spec.Retain, kept.Spec.PinnedDigest = true, string(digest.FromString("a"))
	younger := image("third", "nginx:1")
	younger.Spec.PinnedDigest = string(digest.FromString("b"))
	set, problems := policy.Compile(
		[]v1alpha1.Repository{repository("nginx", v1alpha1.RepositorySpec{Name: "nginx", Platforms: []string{"linux/arm64"}})},
		[]v1alpha1.CachedImage{image("z", "zebra:1"), image("first", "nginx:1"), kept, younger},
		policy.Defaults{},
	)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	nginx, tag := parse(t, "nginx:1")
	zebra, _ := parse(t, "zebra:1")
	want := []policy.Image{
		{Reference: imageref.Reference{Repository: nginx, Tag: tag}, Platforms: []string{"linux/arm64"}, Retain: true, Pinned: digest.FromString("a")},
		{Reference: imageref.Reference{Repository: zebra, Tag: tag}},
	}
	if diff := cmp.Diff(want, set.Images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestSet_T8_PeriodicRepositories(t *testing.T) {
	t.Parallel()
	set := compile(t, policy.Defaults{},
		v1alpha1.RepositorySpec{Name: "zebra", UpdateInterval: "1m", UpdateMode: "Periodic"},
		v1alpha1.RepositorySpec{Name: "nginx", UpdateInterval: "1h", UpdateMode: "OnPull"},
		v1alpha1.RepositorySpec{Name: "alpine", UpdateInterval: "1h", UpdateMode: "Periodic"},
	)
	alpine, _ := parse(t, "alpine:1")
	zebra, _ := parse(t, "zebra:1")
	if diff := cmp.Diff([]imageref.Repository{alpine, zebra}, set.Periodic()); diff != "" {
		t.Errorf("periodic repositories (-want +got):\n%s", diff)
	}
}

func TestSet_DecideAllocatesNothingWithoutFilters(t *testing.T) {
	set := compile(t, every(time.Hour), v1alpha1.RepositorySpec{Name: "postgres", UpdateInterval: "1m"})
	postgres, tag := parse(t, "postgres:15")
	nginx, _ := parse(t, "nginx:15")
	for name, repo := range map[string]imageref.Repository{"a Repository": postgres, "the default": nginx} {
		if n := testing.AllocsPerRun(100, func() { set.Decide(repo, tag); set.Named(repo, tag) }); n != 0 {
			t.Errorf("a decision by %s allocates %v times", name, n)
		}
	}
}

func BenchmarkSet_Decide(b *testing.B) {
	for name, filters := range map[string][]string{"no filter": nil, "two filters": {"latest", ":15$"}} {
		b.Run(name, func(b *testing.B) {
			set := compile(b, policy.Defaults{}, v1alpha1.RepositorySpec{
				Name: "postgres", UpdateInterval: "1m", UpdateFilters: filters,
			})
			repo, tag := parse(b, "postgres:15")
			b.ReportAllocs()
			for b.Loop() {
				set.Decide(repo, tag)
			}
		})
	}
}

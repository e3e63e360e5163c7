package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
)

func TestSet_Origins(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec  v1alpha1.RepositorySpec
		want  []string
		place string
	}{
		"None is the name itself":     {v1alpha1.RepositorySpec{}, nil, "docker.io"},
		"Another one in its place":    {v1alpha1.RepositorySpec{Origin: "registry.corp/hardened/nginx"}, []string{"registry.corp/hardened/nginx"}, "registry.corp"},
		"Itself in full is no other":  {v1alpha1.RepositorySpec{Origin: "docker.io/library/nginx"}, nil, "docker.io"},
		"Fallbacks come after itself": {v1alpha1.RepositorySpec{FallbackOrigins: []string{"quay.io/nginx/nginx"}}, []string{"docker.io/library/nginx", "quay.io/nginx/nginx"}, "docker.io, quay.io"},
		"Each once, in their order": {
			v1alpha1.RepositorySpec{Origin: "registry.corp/a", FallbackOrigins: []string{"nginx", "registry.corp/b", "registry.corp/a"}},
			[]string{"registry.corp/a", "docker.io/library/nginx", "registry.corp/b"}, "registry.corp, docker.io",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Name = "nginx"
			set := compile(t, policy.Defaults{}, tt.spec)
			repo, _ := parse(t, "nginx")
			var got []string
			for _, origin := range set.Origins(repo) {
				got = append(got, origin.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
			if got := set.Place(repo); got != tt.place {
				t.Errorf("place %q, want %q", got, tt.place)
			}
		})
	}
}

func TestSet_A3_WhoseCredentialsAnOriginIsAskedWith(t *testing.T) {
	t.Parallel()
	set := compile(t, policy.Defaults{},
		v1alpha1.RepositorySpec{Name: "nginx", Origin: "registry.corp/hardened/nginx", PullSecretNames: []string{"corp"}},
		v1alpha1.RepositorySpec{Name: "registry.corp/hardened/nginx", PullSecretNames: []string{"own", "corp"}})
	hub, _ := parse(t, "nginx")
	corp := imageref.Repository{Host: "registry.corp", Path: "hardened/nginx"}
	if diff := cmp.Diff([]imageref.Repository{corp, hub}, set.AskedFor(corp)); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"own", "corp"}, set.PullSecrets(corp)); diff != "" {
		t.Errorf("pull secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]imageref.Repository{hub}, set.AskedFor(hub)); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestCompile_BadOriginIsReported(t *testing.T) {
	t.Parallel()
	for want, spec := range map[string]v1alpha1.RepositorySpec{
		"spec.origin":             {Name: "a", Origin: "reg.example:99999/a"},
		"spec.fallbackOrigins[1]": {Name: "a", FallbackOrigins: []string{"b", "reg.example:99999/a"}},
	} {
		_, problems := policy.Compile([]v1alpha1.Repository{repository("r", spec)}, nil, policy.Defaults{})
		if len(problems) != 1 || problems[0].Field != want {
			t.Errorf("problems %v, want one with %s", problems, want)
		}
	}
}

func TestSet_Names(t *testing.T) {
	t.Parallel()
	const one, other = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	pinned := func(name, source, dgst string) v1alpha1.CachedImage {
		i := image(name, source)
		i.Spec.PinnedDigest = dgst
		return i
	}
	set, problems := policy.Compile([]v1alpha1.Repository{
		repository("a", v1alpha1.RepositorySpec{Name: "redis", ImmutableTags: []string{`:v\d`}}),
		repository("b", v1alpha1.RepositorySpec{Name: "nginx", Origin: "registry.corp/nginx"}),
		repository("c", v1alpha1.RepositorySpec{Name: "plain", UpdateInterval: "1h"}),
	}, []v1alpha1.CachedImage{pinned("a", "nginx:1", one), pinned("b", "docker.io/library/nginx:1", other), pinned("c", "postgres:15", one), image("d", "postgres:16")},
		policy.Defaults{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	text, err := set.Names().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"repositories":[` +
		`{"name":"docker.io/library/nginx","origins":["registry.corp/nginx"],"pins":{"1":"` + one + `"}},` +
		`{"name":"docker.io/library/postgres","pins":{"15":"` + one + `"}},` +
		`{"name":"docker.io/library/redis","immutableTags":[":v\\d"]}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if text, err := (&policy.Set{}).Names().Encode(); err != nil || string(text) != `{"repositories":[]}` {
		t.Errorf("the zero Set's names are %s, %v", text, err)
	}
}

package policy

import (
	"slices"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// setOrigins reads where the images come from, in the order in which to ask. A repository that names itself alone names none.
func (r *rule) setOrigins(spec *v1alpha1.RepositorySpec) *field.Error {
	own, err := imageref.ParseRepository(spec.Name)
	if err != nil {
		return field.Invalid(field.NewPath("spec", "name"), spec.Name, err.Error())
	}
	origins := []imageref.Repository{own}
	if spec.Origin != "" {
		if origins[0], err = imageref.ParseRepository(spec.Origin); err != nil {
			return field.Invalid(field.NewPath("spec", "origin"), spec.Origin, err.Error())
		}
	}
	for i, name := range spec.FallbackOrigins {
		origin, err := imageref.ParseRepository(name)
		if err != nil {
			return field.Invalid(field.NewPath("spec", "fallbackOrigins").Index(i), name, err.Error())
		}
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	if len(origins) > 1 || origins[0] != own {
		r.origins = origins
	}
	return nil
}

// Origins returns the repositories that a repository's images come from, in the order in which to ask; none: the repository itself. It is
// not followed further: what one of them has for origins does not matter. The result must not be changed.
func (s *Set) Origins(repo imageref.Repository) []imageref.Repository { return s.rules[repo].origins }

// Place names the hosts that a repository's images come from: "docker.io", or "registry.corp, docker.io".
func (s *Set) Place(repo imageref.Repository) string {
	if origins := s.Origins(repo); len(origins) > 0 {
		return imageref.Hosts(origins)
	}
	return repo.Host
}

// AskedFor returns the repositories for whose images repo is asked: itself, and those that have it among their origins.
func (s *Set) AskedFor(repo imageref.Repository) []imageref.Repository {
	return append([]imageref.Repository{repo}, s.askedFor[repo]...)
}

// addOrigins notes for whom the origins of a repository are asked.
func (c *compiler) addOrigins(repo imageref.Repository, origins []imageref.Repository) {
	for _, origin := range origins {
		if origin != repo {
			c.set.askedFor[origin] = append(c.set.askedFor[origin], repo)
		}
	}
}

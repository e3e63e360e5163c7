package policy

import (
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Access is to whom the images of a repository are served (A1, A2).
type Access struct {
	Shared bool          // to everybody: nothing is asked
	TTL    time.Duration // how long the origin's yes to a credential holds; 0: for ever
}

// Access returns to whom the images of a repository are served. It is quick, and allocates nothing.
func (s *Set) Access(repo imageref.Repository) Access { return s.rules[repo].access }

// setAccess applies access and grantTTL.
func (r *rule) setAccess(spec *v1alpha1.RepositorySpec) *field.Error {
	ttl, _, err := spec.GrantTTL.Duration()
	if err != nil {
		return field.Invalid(field.NewPath("spec", "grantTTL"), spec.GrantTTL, err.Error())
	}
	r.access = Access{Shared: spec.Access == v1alpha1.AccessShared, TTL: ttl}
	return nil
}

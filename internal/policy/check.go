package policy

import (
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	kindRepository  = "Repository"
	kindCachedImage = "CachedImage"
)

// CheckRepository returns what is wrong with a Repository: what its schema refuses, a name that is none, and what does not fit the
// defaults that it inherits. It is blind to other objects, and to mistakes in the defaults themselves.
func CheckRepository(object *v1alpha1.Repository, defaults Defaults) field.ErrorList {
	if _, errs := parseRepository(object); len(errs) > 0 {
		return errs
	}
	inherited, err := newDefaultRule(defaults)
	if err != nil {
		inherited = rule{}
	}
	if _, invalid := newRule(&object.Spec, &inherited); invalid != nil {
		return field.ErrorList{invalid}
	}
	return nil
}

// InForce returns the Repository that is in force of those of one repository, the oldest first; nil where none is.
func InForce(repositories []v1alpha1.Repository, defaults Defaults) *v1alpha1.Repository {
	for i := range repositories {
		if len(CheckRepository(&repositories[i], defaults)) == 0 {
			return &repositories[i]
		}
	}
	return nil
}

// CheckCachedImage returns what is wrong with a CachedImage by itself: what its schema refuses, and an image that is none.
func CheckCachedImage(object *v1alpha1.CachedImage) field.ErrorList {
	_, errs := parseImage(object)
	return errs
}

func parseRepository(object *v1alpha1.Repository) (imageref.Repository, field.ErrorList) {
	if errs := object.Validate(); len(errs) > 0 {
		return imageref.Repository{}, errs
	}
	repo, err := imageref.ParseRepository(object.Spec.Name)
	if err != nil {
		return repo, field.ErrorList{field.Invalid(field.NewPath("spec", "name"), object.Spec.Name, err.Error())}
	}
	return repo, nil
}

func parseImage(object *v1alpha1.CachedImage) (imageref.Reference, field.ErrorList) {
	if errs := object.Validate(); len(errs) > 0 {
		return imageref.Reference{}, errs
	}
	ref, err := imageref.Parse(object.Spec.SourceImage)
	if err != nil {
		return ref, field.ErrorList{field.Invalid(field.NewPath("spec", "sourceImage"), object.Spec.SourceImage, err.Error())}
	}
	return ref, nil
}

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

// CheckRepository returns what is wrong with a Repository by itself: what its schema refuses, and a name that is none.
func CheckRepository(object *v1alpha1.Repository) field.ErrorList {
	_, errs := parseRepository(object)
	return errs
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

// Package v1alpha1 holds the kinds of the API group larder.dev: Repository (how fresh a repository's tags are kept, and for
// whom) and CachedImage (an image that is to be kept). It describes and validates them; it decides nothing and talks to no
// API server.
//
// +kubebuilder:object:generate=true
// +groupName=larder.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of the kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "larder.dev", Version: "v1alpha1"}

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers the kinds of this package with a scheme.
func AddToScheme(scheme *runtime.Scheme) error { return schemeBuilder.AddToScheme(scheme) }

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Repository{}, &RepositoryList{}, &CachedImage{}, &CachedImageList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

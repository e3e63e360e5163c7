package cleanup_test

import (
	"os"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/app/cleanup"
	options "github.com/larder-dev/larder/internal/options/cleanup"
	"github.com/larder-dev/larder/internal/options/cluster"
)

// user may do what the chart's role says.
func user(t *testing.T) options.Options {
	t.Helper()
	text, err := os.ReadFile("../../../helm/larder/files/rbac/cleanup.yaml")
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		t.Fatal(err)
	}
	create(t, role)
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "cleanup"}},
	})
	_, config := apiserver.User(t, "cleanup")
	return options.Options{Cluster: cluster.Options{Config: config}}
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := apiserver.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func TestRun_ReleasesWhatLarderHolds(t *testing.T) {
	held := func(name string, finalizers ...string) *v1alpha1.CachedImage {
		image := &v1alpha1.CachedImage{
			ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: finalizers},
			Spec:       v1alpha1.CachedImageSpec{SourceImage: name},
		}
		create(t, image)
		return image
	}
	kept := held("kept", v1alpha1.FinalizerUntag, "example.org/other")
	deleted := held("deleted", v1alpha1.FinalizerUntag)
	repository := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: "deleted", Finalizers: []string{v1alpha1.FinalizerImages}},
		Spec:       v1alpha1.RepositorySpec{Name: "reg.example/deleted"},
	}
	create(t, repository)
	for _, object := range []client.Object{deleted, repository} {
		if err := apiserver.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	if err := cleanup.Run(t.Context(), user(t), logr.Discard()); err != nil {
		t.Fatal(err)
	}
	for _, object := range []client.Object{deleted, repository} {
		if err := apiserver.Get(t.Context(), client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			t.Errorf("the deleted %T: got %v, want it gone", object, err)
		}
	}
	if err := apiserver.Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil || !slices.Equal(kept.Finalizers, []string{"example.org/other"}) {
		t.Errorf("the other has the finalizers %q (%v), want that of somebody else alone", kept.Finalizers, err)
	}
}

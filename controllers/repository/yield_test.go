package repository_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// createMade creates a Repository as the controller of pods does, and more of its spec.
func createMade(t *testing.T, name string, spec v1alpha1.RepositorySpec) {
	t.Helper()
	must(t, cluster.Create(t.Context(), &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, Finalizers: []string{v1alpha1.FinalizerImages},
		},
		Spec: spec,
	}))
}

func TestRepository_OneThatLarderMadeMakesRoomForAPersons(t *testing.T) {
	start(t)
	createImage(t, "room-1", "room/app:1")
	createMade(t, "room-made", v1alpha1.RepositorySpec{Name: "room/app"})
	becomes(t, "room-made", ready(1))
	createRepository(t, "room-mine", v1alpha1.RepositorySpec{Name: "docker.io/room/app", UpdateInterval: "1h"})
	goes(t, "room-made")
	becomes(t, "room-mine", ready(1))
}

func TestRepository_OneThatAPersonEditedStays(t *testing.T) {
	start(t)
	createImage(t, "stays-1", "stays/app:1")
	createMade(t, "stays-a", v1alpha1.RepositorySpec{Name: "stays/app", UpdateInterval: "2h"})
	becomes(t, "stays-a", ready(1))
	createRepository(t, "stays-b", v1alpha1.RepositorySpec{Name: "stays/app", UpdateInterval: "1h"})
	becomes(t, "stays-b", conflict)
	becomes(t, "stays-a", ready(1))
}

func TestRepository_OneThatLarderMadeStaysBesideAnInvalidOne(t *testing.T) {
	start(t)
	createImage(t, "beside-1", "beside/app:1")
	createMade(t, "beside-made", v1alpha1.RepositorySpec{Name: "beside/app"})
	becomes(t, "beside-made", ready(1))
	// What it inherits does not fit.
	createRepository(t, "beside-mine", v1alpha1.RepositorySpec{Name: "beside/app", UpdateMode: v1alpha1.UpdatePeriodic})
	becomes(t, "beside-mine", conflict)
	object := becomes(t, "beside-made", ready(1))
	if !object.DeletionTimestamp.IsZero() {
		t.Error("it is being deleted")
	}
}

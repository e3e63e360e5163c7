package repository

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

// yields says whether a Repository is to make room for one of its peers: Larder made it and nobody has edited it, so that it says
// nothing, and a person wrote another one for the same repository, which says something.
func (r *Reconciler) yields(object *v1alpha1.Repository, peers []v1alpha1.Repository) bool {
	return placeholder(object) && slices.ContainsFunc(peers, func(peer v1alpha1.Repository) bool {
		return !placeholder(&peer) && peer.DeletionTimestamp.IsZero() && len(policy.CheckRepository(&peer, r.defaults)) == 0
	})
}

// placeholder says whether a Repository is as Larder makes it.
func placeholder(object *v1alpha1.Repository) bool {
	made := v1alpha1.RepositorySpec{Name: object.Spec.Name, UpdateMode: v1alpha1.UpdateOnPull, Access: v1alpha1.AccessGranted}
	return object.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && equality.Semantic.DeepEqual(object.Spec, made)
}

// yield deletes a Repository, unless somebody has edited it meanwhile.
func (r *Reconciler) yield(ctx context.Context, object *v1alpha1.Repository) error {
	err := r.client.Delete(ctx, object, client.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // the edit is an event of its own
		return fmt.Errorf("deleting Repository %s, which makes room for a person's: %w", object.Name, err)
	}
	return nil
}

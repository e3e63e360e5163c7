package pod

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

const (
	// attempts is how many names are tried for an object.
	attempts = 8
	// pause is how long to wait for an object to go of which the cache has not heard, so that its end may never be an event.
	pause = 2 * time.Second
)

// errGoing says that the object is there but being deleted, or gone the moment after.
var errGoing = errors.New("the object is being deleted")

// again turns errGoing into a wait.
func again(err error) (ctrl.Result, error) {
	if errors.Is(err, errGoing) {
		return ctrl.Result{RequeueAfter: pause}, nil
	}
	return ctrl.Result{}, err
}

// createRepository returns the Repository of a repository that it created, or that was there in spite of the cache.
func (r *Reconciler) createRepository(ctx context.Context, repo imageref.Repository) (*v1alpha1.Repository, error) {
	wanted := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{
			Labels:     map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			Finalizers: []string{v1alpha1.FinalizerImages},
		},
		Spec: v1alpha1.RepositorySpec{Name: repo.String()},
	}
	same := func(found *v1alpha1.Repository) bool {
		other, err := imageref.ParseRepository(found.Spec.Name)
		return err == nil && other == repo
	}
	found, err := create(ctx, r, wanted, repo.ObjectName, same)
	if err != nil {
		return nil, fmt.Errorf("creating a Repository for %s: %w", repo, err)
	}
	return found, nil
}

// createImage makes sure that there is a CachedImage of the image; owner is the name of its Repository.
func (r *Reconciler) createImage(ctx context.Context, ref imageref.Reference, owner string) error {
	labels := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	if len(validation.IsValidLabelValue(owner)) == 0 { // a person's Repository may have a longer name
		labels[v1alpha1.LabelRepository] = owner
	}
	wanted := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Finalizers: []string{v1alpha1.FinalizerUntag}},
		Spec:       v1alpha1.CachedImageSpec{SourceImage: ref.Short()},
	}
	same := func(found *v1alpha1.CachedImage) bool {
		other, err := imageref.Parse(found.Spec.SourceImage)
		return err == nil && other == ref
	}
	if _, err := create(ctx, r, wanted, ref.ObjectName, same); err != nil {
		return fmt.Errorf("creating a CachedImage for %s: %w", ref, err)
	}
	return nil
}

// pointer is a pointer to one of the kinds.
type pointer[T any] interface {
	*T
	client.Object
}

// create creates an object under the first of its names that no object of another image has, or returns the one that is there already:
// the cache lags behind, and others create too.
func create[T any, P pointer[T]](ctx context.Context, r *Reconciler, wanted P, name func(attempt int) string, same func(P) bool) (P, error) {
	for attempt := range attempts {
		wanted.SetName(name(attempt))
		err := r.client.Create(ctx, wanted)
		switch {
		case err == nil:
			log.FromContext(ctx).V(1).Info("object created", "name", wanted.GetName())
			return wanted, nil
		case apierrors.IsInvalid(err):
			return nil, reconcile.TerminalError(err) // no retry makes it valid
		case !apierrors.IsAlreadyExists(err):
			return nil, err
		}
		found := P(new(T))
		switch err := r.live.Get(ctx, client.ObjectKeyFromObject(wanted), found); {
		case apierrors.IsNotFound(err), err == nil && same(found) && !found.GetDeletionTimestamp().IsZero():
			return nil, errGoing
		case err != nil:
			return nil, err
		case same(found):
			return found, nil
		}
	}
	return nil, reconcile.TerminalError(fmt.Errorf("all of %d names, up to %s, belong to other objects: rename those", attempts, name(attempts-1)))
}

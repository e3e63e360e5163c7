// Package repository sums up what belongs to a Repository in its status, says which of two of one name is in force, and holds a
// Repository that is deleted until its images are gone.
//
// CachedImages belong to the Repository that is in force for their repository. One that is not, because of a conflict or a mistake, has
// none, and so is deleted at once. One that is in force and deleted passes its images to the next in line where there is a valid one,
// and else stays in force until they are gone. One that Larder made, and that nobody has edited, makes room for a person's.
package repository

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/status"
)

const (
	// workers is how many Repositories are looked after at a time.
	workers = 4
	// lull is for how long changes of images are collected before a Repository is looked at: at most one of its status writes within
	// that time is theirs.
	lull = 2 * time.Second
	// After an error a Repository comes again within retryFirst, doubling to retryLast: soon after an outage of the API server.
	retryFirst = 20 * time.Millisecond
	retryLast  = 30 * time.Second
)

// Reconciler looks after the status of one Repository.
type Reconciler struct {
	client   client.Client
	defaults policy.Defaults
	now      func() time.Time
}

// New returns a reconciler. The client's cache is indexed by usage.IndexImages and usage.IndexRepositories.
func New(c client.Client, defaults policy.Defaults) *Reconciler {
	return &Reconciler{client: c, defaults: defaults, now: time.Now}
}

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error {
	err := ctrl.NewControllerManagedBy(m).
		Named("repository").
		Watches(&v1alpha1.Repository{}, r.onRepository()).
		Watches(&v1alpha1.CachedImage{}, r.onCachedImage()).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](retryFirst, retryLast),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of Repositories: %w", err)
	}
	return nil
}

// Reconcile writes the status of a Repository, and lets it go when it is deleted and nothing belongs to it.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var object v1alpha1.Repository
	if err := r.client.Get(ctx, req.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s, err := r.stand(ctx, &object)
	if err != nil {
		return ctrl.Result{}, err
	}
	deleted := !object.DeletionTimestamp.IsZero()
	if deleted && (!s.inForce() || s.heir || len(s.images) == 0) {
		return r.finalize(ctx, &object, controllerutil.RemoveFinalizer)
	}
	if s.yields && !deleted {
		return ctrl.Result{}, r.yield(ctx, &object)
	}
	if !deleted {
		if result, err := r.finalize(ctx, &object, controllerutil.AddFinalizer); err != nil || result.RequeueAfter > 0 {
			return result, err
		}
	}
	wait, err := status.ApplyRepository(ctx, r.client, &object, s.status(&object, r.now()), r.now())
	return ctrl.Result{RequeueAfter: wait}, client.IgnoreNotFound(err)
}

// finalize adds or removes the finalizer, and writes only where that changes something.
func (r *Reconciler) finalize(ctx context.Context, object *v1alpha1.Repository, change func(client.Object, string) bool) (ctrl.Result, error) {
	before := object.DeepCopy()
	if !change(object, v1alpha1.FinalizerImages) {
		return ctrl.Result{}, nil
	}
	err := r.client.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: lull}, nil // the cache lags behind
	case err != nil && !apierrors.IsNotFound(err):
		return ctrl.Result{}, fmt.Errorf("writing the finalizers of Repository %s: %w", object.Name, err)
	}
	return ctrl.Result{}, nil
}

// stand finds out how a Repository stands among those of its name.
func (r *Reconciler) stand(ctx context.Context, object *v1alpha1.Repository) (standing, error) {
	s, peers, err := r.family(ctx, object)
	if err != nil {
		return s, err
	}
	_, problems := policy.Compile(peers, nil, r.defaults)
	for _, p := range problems {
		if p.Kind != "" && p.Name == object.Name {
			s.problems = append(s.problems, p)
		}
	}
	s.heir = slices.ContainsFunc(peers, func(peer v1alpha1.Repository) bool {
		return peer.Name != object.Name && peer.DeletionTimestamp.IsZero() && len(policy.CheckRepository(&peer, r.defaults)) == 0
	})
	s.yields = r.yields(object, peers)
	return s, nil
}

// Package access says in the status of Repositories to whom their images are served, and has origins asked about repositories of which
// nothing is granted yet: those that were stored before grants were kept. It decides about no pull.
package access

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	// workers is how many Repositories are looked after at a time: each may ask its origin.
	workers = 4
	// settled is how old a Repository is before its origin is asked, where it was made after the process started: the first pull or mirror
	// of its images tells the same.
	settled = time.Minute
	// again is when an origin is asked again that had no yes for anybody.
	again = 10 * time.Minute
)

// Reconciler looks after status.access of one Repository.
type Reconciler struct {
	client client.Client
	keeper *grant.Keeper
	owns   func(imageref.Repository) bool
	now    func() time.Time
	start  time.Time
}

// New returns a reconciler of what a keeper knows, for the repositories that this replica owns. The client's cache is indexed by
// usage.IndexImages and usage.IndexRepositories.
func New(c client.Client, keeper *grant.Keeper, owns func(imageref.Repository) bool) *Reconciler {
	return &Reconciler{client: c, keeper: keeper, owns: owns, now: time.Now, start: time.Now()}
}

// Register adds the reconciler to a manager. It needs no leader.
func (r *Reconciler) Register(m manager.Manager) error {
	err := ctrl.NewControllerManagedBy(m).Named("access").
		Watches(&v1alpha1.Repository{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(r.follow)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NeedLeaderElection: new(false)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of access: %w", err)
	}
	return nil
}

// Reconcile writes what is granted of a repository, where that is not written yet.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var object v1alpha1.Repository
	if err := r.client.Get(ctx, req.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	repo, err := imageref.ParseRepository(object.Spec.Name)
	if err != nil || !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil //nolint:nilerr // its own status says that it is not in force
	}
	if !r.owns(repo) {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	wait, err := r.learn(ctx, &object, repo)
	if err != nil {
		return ctrl.Result{}, err
	}
	summary, err := r.keeper.Summary(ctx, repo)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := status.ApplyAccess(ctx, r.client, &object, statusOf(summary)); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !summary.Until.IsZero() {
		wait = soonest(wait, max(summary.Until.Sub(r.now()), time.Second))
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}

// learn has the origin asked about a repository that has images and no grants, and says when to look again.
func (r *Reconciler) learn(ctx context.Context, object *v1alpha1.Repository, repo imageref.Repository) (wait time.Duration, err error) {
	summary, err := r.keeper.Summary(ctx, repo)
	if err != nil || summary.Public || summary.Grants > 0 {
		return 0, err
	}
	created := object.CreationTimestamp.Time
	if young := settled - r.now().Sub(created); young > 0 && created.After(r.start) {
		return young, nil
	}
	images, err := usage.CachedImagesOf(ctx, r.client, repo)
	if err != nil || len(images) == 0 {
		return again, err
	}
	ref, err := imageref.Parse(images[0].Spec.SourceImage)
	if err != nil {
		return again, nil //nolint:nilerr // as above
	}
	probe := upstream.Probe{Reference: ref.Tag}
	if ref.Digest != "" {
		probe.Reference = ref.Digest.String()
	}
	if r.keeper.Learn(ctx, repo, probe) {
		return 0, nil
	}
	return again, nil
}

func soonest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

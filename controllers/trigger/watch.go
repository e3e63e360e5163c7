package trigger

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
)

// Register adds the reconciler to a manager. It has one worker: a workload that uses several images is looked at for one at a time.
func (r *Reconciler) Register(m manager.Manager) error {
	b := ctrl.NewControllerManagedBy(m).Named("trigger").
		For(&v1alpha1.CachedImage{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: imageChanged})).
		Watches(&v1alpha1.Repository{}, usage.OnRepository(r.o.Client), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	for _, kind := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}} {
		b = b.Watches(kind, usage.OnWorkload(r.o.Client, r.o.Scope), builder.WithPredicates(predicate.Funcs{UpdateFunc: r.workloadChanged}))
	}
	err := b.WithOptions(controller.Options{
		MaxConcurrentReconciles: 1,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](again, time.Minute),
	}).Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of triggers: %w", err)
	}
	return nil
}

// imageChanged says whether an update of a CachedImage may make another revision the one to run, or changed what is said of workloads.
func imageChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.CachedImage)
	now, ok2 := e.ObjectNew.(*v1alpha1.CachedImage)
	if !ok1 || !ok2 {
		return false
	}
	refused := func(image *v1alpha1.CachedImage) any {
		return meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionWouldNotPull)
	}
	ready := func(image *v1alpha1.CachedImage) bool {
		return meta.IsStatusConditionTrue(image.Status.Conditions, v1alpha1.ConditionReady)
	}
	return before.UID != now.UID || before.Status.Digest != now.Status.Digest || ready(before) != ready(now) ||
		!equality.Semantic.DeepEqual(newestOf(before), newestOf(now)) || !equality.Semantic.DeepEqual(refused(before), refused(now))
}

// newestOf is the revision that is current, without the time at which it was last confirmed.
func newestOf(image *v1alpha1.CachedImage) v1alpha1.Revision {
	if len(image.Status.History) == 0 {
		return v1alpha1.Revision{}
	}
	r := image.Status.History[0]
	r.LastSeen = r.FirstSeen
	return r
}

// workloadChanged says whether an update changed what a workload uses, or what it says of restarts.
func (r *Reconciler) workloadChanged(e event.UpdateEvent) bool {
	return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() || held(e.ObjectOld) != held(e.ObjectNew) ||
		!equality.Semantic.DeepEqual(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()) || // a cache keeps those that matter
		!slices.Equal(r.o.Scope.WorkloadImages(e.ObjectOld), r.o.Scope.WorkloadImages(e.ObjectNew))
}

// held says whether a Deployment's own spec holds it.
func held(object client.Object) bool {
	deployment, ok := object.(*appsv1.Deployment)
	return ok && deployment.Spec.Paused
}

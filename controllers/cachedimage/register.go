package cachedimage

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
)

// workers is how many images are looked after at a time.
const workers = 4

// Register adds the reconciler to a manager, and beside it the one that deletes what expired. Neither begins before the manager's
// cache knows all objects that they go by.
func (r *Reconciler) Register(m manager.Manager) error {
	b := ctrl.NewControllerManagedBy(m).Named("cachedimage").
		For(&v1alpha1.CachedImage{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: imageChanged}))
	for _, kind := range r.o.kinds() {
		b = b.Watches(kind, r.onUser(), builder.WithPredicates(predicate.Funcs{UpdateFunc: r.userChanged}))
	}
	if err := b.WithOptions(options(workers)).Complete(r); err != nil {
		return fmt.Errorf("adding the controller of the use of images: %w", err)
	}
	if r.o.ExpiryDelay == 0 {
		return nil
	}
	e := &expiry{o: r.o}
	err := ctrl.NewControllerManagedBy(m).Named("cachedimage-expiry").
		Watches(&v1alpha1.CachedImage{}, e.onImage()).
		WithOptions(options(1)).Complete(e)
	if err != nil {
		return fmt.Errorf("adding the controller of expiry: %w", err)
	}
	return nil
}

func options(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](again, time.Minute),
	}
}

// onUser has the CachedImages of what a pod or a workload uses, and used before, looked at.
func (r *Reconciler) onUser() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) (requests []ctrl.Request) {
		for _, ref := range r.o.images(object) {
			found, err := usage.CachedImages(ctx, r.o.Client, ref)
			if err != nil {
				log.FromContext(ctx).Error(err, "finding the objects of an image", "image", ref.String())
			}
			for i := range found {
				requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&found[i])})
			}
		}
		return requests
	})
}

// userChanged says whether an update of a pod or a workload may change which images are in use.
func (r *Reconciler) userChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*corev1.Pod)
	now, ok2 := e.ObjectNew.(*corev1.Pod)
	if !ok1 || !ok2 {
		return !slices.Equal(r.o.images(e.ObjectOld), r.o.images(e.ObjectNew))
	}
	// There are many pods, and most of their updates tell of their health alone: nothing is parsed for them.
	same := func(a, b corev1.Container) bool { return a.Image == b.Image }
	sameEphemeral := func(a, b corev1.EphemeralContainer) bool { return a.Image == b.Image }
	return usage.Active(before) != usage.Active(now) ||
		!slices.EqualFunc(before.Spec.Containers, now.Spec.Containers, same) ||
		!slices.EqualFunc(before.Spec.InitContainers, now.Spec.InitContainers, same) ||
		!slices.EqualFunc(before.Spec.EphemeralContainers, now.Spec.EphemeralContainers, sameEphemeral)
}

// imageChanged says whether an update of a CachedImage changed its spec or the controller's part of its status.
func imageChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.CachedImage)
	now, ok2 := e.ObjectNew.(*v1alpha1.CachedImage)
	if !ok1 || !ok2 {
		return false
	}
	inUse := func(image *v1alpha1.CachedImage) any {
		return meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionInUse)
	}
	return before.Generation != now.Generation || before.UID != now.UID ||
		!equality.Semantic.DeepEqual(before.Status.UsedBy, now.Status.UsedBy) ||
		!equality.Semantic.DeepEqual(inUse(before), inUse(now))
}

// onImage has the images that are due looked at when the first of them is.
func (e *expiry) onImage() handler.EventHandler {
	add := func(object client.Object, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		if image, ok := object.(*v1alpha1.CachedImage); ok {
			if wait, expires := e.wait(image); expires {
				q.AddAfter(ctrl.Request{}, wait)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, ev event.CreateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			add(ev.Object, q)
		},
		UpdateFunc: func(_ context.Context, ev event.UpdateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			add(ev.ObjectNew, q)
		},
	}
}

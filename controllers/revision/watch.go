package revision

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// imageChanged says whether an update of a CachedImage changed its history or what is kept of it. That a revision was confirmed again
// does not count.
func imageChanged(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*v1alpha1.CachedImage)
	now, ok2 := e.ObjectNew.(*v1alpha1.CachedImage)
	if !ok1 || !ok2 {
		return false
	}
	same := func(a, b v1alpha1.Revision) bool {
		return a.Digest == b.Digest && a.FirstSeen.Equal(&b.FirstSeen) && equality.Semantic.DeepEqual(a.CompleteAt, b.CompleteAt)
	}
	return before.Annotations[v1alpha1.AnnotationKeptDigests] != now.Annotations[v1alpha1.AnnotationKeptDigests] ||
		!slices.EqualFunc(before.Status.History, now.Status.History, same)
}

// onOwner has the CachedImages of what a revision of a workload uses, and used before, looked at.
func (r *Reconciler) onOwner() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) (requests []ctrl.Request) {
		for _, ref := range r.scope.WorkloadImages(object) {
			images, err := usage.CachedImages(ctx, r.client, ref)
			requests = append(requests, requestsFor(ctx, images, err)...)
		}
		return requests
	})
}

// ownerChanged says whether an update changed which images a revision uses, as when a Job finishes.
func (r *Reconciler) ownerChanged(e event.UpdateEvent) bool {
	return !slices.Equal(r.scope.WorkloadImages(e.ObjectOld), r.scope.WorkloadImages(e.ObjectNew))
}

// onRepository has the CachedImages of a repository looked at.
func (r *Reconciler) onRepository() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []ctrl.Request {
		repository, ok := object.(*v1alpha1.Repository)
		if !ok {
			return nil
		}
		repo, err := imageref.ParseRepository(repository.Spec.Name)
		if err != nil {
			return nil // nothing belongs to it
		}
		images, err := usage.CachedImagesOf(ctx, r.client, repo)
		return requestsFor(ctx, images, err)
	})
}

func requestsFor(ctx context.Context, images []v1alpha1.CachedImage, err error) []ctrl.Request {
	if err != nil {
		log.FromContext(ctx).Error(err, "finding the objects of an image")
	}
	var requests []ctrl.Request
	for i := range images {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&images[i])})
	}
	return requests
}

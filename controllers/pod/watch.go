package pod

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

type (
	handlers = handler.TypedFuncs[client.Object, imageref.Reference]
	queue    = workqueue.TypedRateLimitingInterface[imageref.Reference]
)

// onPod queues the images of new pods, and those that a pod did not use before.
func (r *Reconciler) onPod() handlers {
	return handlers{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			for _, ref := range r.imagesOf(e.Object) {
				q.Add(ref)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before := r.imagesOf(e.ObjectOld)
			for _, ref := range r.imagesOf(e.ObjectNew) {
				if !slices.Contains(before, ref) {
					q.Add(ref)
				}
			}
		},
	}
}

func (r *Reconciler) imagesOf(object client.Object) []imageref.Reference {
	if pod, ok := object.(*corev1.Pod); ok && usage.Active(pod) {
		return r.scope.Pod(pod)
	}
	return nil
}

// onGone calls gone with each object that is no more. After a watch that broke off, one that was made anew under its name is told as an
// update: the one before is no more.
func onGone(gone func(context.Context, client.Object, queue)) handlers {
	return handlers{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				gone(ctx, e.ObjectOld, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { gone(ctx, e.Object, q) },
	}
}

// onCachedImage queues the image of which an object is gone.
func (r *Reconciler) onCachedImage() handlers {
	return onGone(func(_ context.Context, object client.Object, q queue) {
		if image, ok := object.(*v1alpha1.CachedImage); ok {
			if ref, err := imageref.Parse(image.Spec.SourceImage); err == nil {
				q.Add(ref)
			}
		}
	})
}

// onRepository queues the images of which pods use one, of the repository whose object is gone.
func (r *Reconciler) onRepository() handlers {
	return onGone(func(ctx context.Context, object client.Object, q queue) {
		repository, ok := object.(*v1alpha1.Repository)
		if !ok {
			return
		}
		repo, err := imageref.ParseRepository(repository.Spec.Name)
		if err != nil {
			return // nothing belongs to it
		}
		pods, err := usage.PodsOf(ctx, r.client, repo)
		if err != nil {
			log.FromContext(ctx).Error(err, "finding the images of a deleted repository", "repository", repo.String())
		}
		for i := range pods {
			for _, ref := range r.imagesOf(&pods[i]) {
				if ref.Repository == repo {
					q.Add(ref)
				}
			}
		}
	})
}

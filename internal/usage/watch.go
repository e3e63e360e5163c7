package usage

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// OnWorkload has the CachedImages of what the template of a workload uses, and used before, looked at.
func OnWorkload(reader client.Reader, scope Scope) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) (requests []ctrl.Request) {
		for _, ref := range scope.WorkloadImages(object) {
			images, err := CachedImages(ctx, reader, ref)
			requests = append(requests, requestsFor(ctx, images, err)...)
		}
		return requests
	})
}

// OnRepository has the CachedImages of a repository looked at.
func OnRepository(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []ctrl.Request {
		repository, ok := object.(*v1alpha1.Repository)
		if !ok {
			return nil
		}
		repo, err := imageref.ParseRepository(repository.Spec.Name)
		if err != nil {
			return nil // nothing belongs to it
		}
		images, err := CachedImagesOf(ctx, reader, repo)
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

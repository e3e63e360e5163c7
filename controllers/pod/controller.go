// Package pod brings objects into being for what pods use: for each image that Larder serves one CachedImage, and for each of their
// repositories one Repository. It never changes nor deletes one that is there.
//
// It works image by image, not pod by pod: however many pods use an image, one worker at a time looks after it. Where everything is
// there, it asks the API server nothing.
package pod

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	// workers is how many images are looked after at a time.
	workers = 8
	// After an error an image comes again within retryFirst, doubling to retryLast: soon after an outage of the API server.
	retryFirst = 20 * time.Millisecond
	retryLast  = 30 * time.Second
)

// Reconciler makes the objects of images that pods use.
type Reconciler struct {
	client client.Client
	live   client.Reader
	scope  usage.Scope
}

// New returns a reconciler. The client's cache is indexed by usage.IndexPods, usage.IndexImages and usage.IndexRepositories.
func New(c client.Client, scope usage.Scope) *Reconciler {
	return &Reconciler{client: c, live: c, scope: scope}
}

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error {
	r.live = m.GetAPIReader()
	err := builder.TypedControllerManagedBy[imageref.Reference](m).
		Named("pod").
		Watches(&corev1.Pod{}, r.onPod()).
		Watches(&v1alpha1.CachedImage{}, r.onCachedImage()).
		Watches(&v1alpha1.Repository{}, r.onRepository()).
		WithOptions(controller.TypedOptions[imageref.Reference]{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[imageref.Reference](retryFirst, retryLast),
			LogConstructor: func(ref *imageref.Reference) logr.Logger {
				log := m.GetLogger().WithValues("controller", "pod")
				if ref != nil {
					log = log.WithValues("image", ref.String())
				}
				return log
			},
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of pods: %w", err)
	}
	return nil
}

// Reconcile creates what is missing for an image, if a pod uses it. An object that is being deleted still counts as there: its
// deletion is an event, after which it is made anew.
func (r *Reconciler) Reconcile(ctx context.Context, ref imageref.Reference) (ctrl.Result, error) {
	images, err := usage.CachedImages(ctx, r.client, ref)
	if err != nil {
		return ctrl.Result{}, err
	}
	repositories, err := usage.Repositories(ctx, r.client, ref.Repository)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(images) > 0 && len(repositories) > 0 {
		return ctrl.Result{}, nil
	}
	if used, err := usage.Used(ctx, r.client, ref); err != nil || !used {
		return ctrl.Result{}, err
	}
	var owner *v1alpha1.Repository
	if len(repositories) > 0 {
		owner = &repositories[0]
	} else if owner, err = r.createRepository(ctx, ref.Repository); err != nil {
		return again(err)
	}
	if len(images) == 0 {
		err = r.createImage(ctx, ref, owner.Name)
	}
	return again(err)
}

package repository

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]

// onRepository queues a Repository that is new, whose spec or status changed, that is deleted, or that lost its finalizer, and the others
// of its name. One that Larder just made is about to have an image, and waits for it.
func (r *Reconciler) onRepository() handler.Funcs {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			own := request(e.Object.GetName())
			if e.IsInInitialList {
				q.Add(own) // so are the others
				return
			}
			if e.Object.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
				q.AddAfter(own, lull)
			} else {
				q.Add(own)
			}
			r.addNamed(ctx, q, e.Object, 0)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			switch {
			case madeAnew(e), e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration(): // as with a deletion that waits for finalizers
				q.Add(request(e.ObjectNew.GetName()))
				r.addNamed(ctx, q, e.ObjectOld, 0)
				r.addNamed(ctx, q, e.ObjectNew, 0)
			case !controllerutil.ContainsFinalizer(e.ObjectNew, v1alpha1.FinalizerImages):
				q.Add(request(e.ObjectNew.GetName()))
			case statusChanged(e): // perhaps not by us
				q.AddAfter(request(e.ObjectNew.GetName()), lull)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { r.addNamed(ctx, q, e.Object, 0) },
	}
}

// onCachedImage queues the Repositories of an image that comes, goes, or was brought in, many of them at once.
func (r *Reconciler) onCachedImage() handler.Funcs {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // else the Repository is as new, and looked at when all images are known
				r.addNamed(ctx, q, e.Object, lull)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, ok := e.ObjectOld.(*v1alpha1.CachedImage)
			after, isToo := e.ObjectNew.(*v1alpha1.CachedImage)
			switch {
			case madeAnew(e):
				r.addNamed(ctx, q, e.ObjectOld, lull)
				r.addNamed(ctx, q, e.ObjectNew, lull)
			case ok && isToo && !before.Status.LastSuccessfulPull.Equal(after.Status.LastSuccessfulPull):
				r.addNamed(ctx, q, e.ObjectNew, lull)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { r.addNamed(ctx, q, e.Object, lull) },
	}
}

// madeAnew says whether an update tells of two objects that had one name, one after the other: so it is after a watch that broke off.
func madeAnew(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() }

func statusChanged(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.Repository)
	after, isToo := e.ObjectNew.(*v1alpha1.Repository)
	return ok && isToo && !equality.Semantic.DeepEqual(before.Status, after.Status)
}

// addNamed queues the Repositories of the repository that an object is about, except the object itself.
func (r *Reconciler) addNamed(ctx context.Context, q queue, object client.Object, after time.Duration) {
	repo, self, ok := repositoryOf(object)
	if !ok {
		return // it has a name of its own, and nobody else's
	}
	found, err := usage.Repositories(ctx, r.client, repo)
	if err != nil {
		log.FromContext(ctx).Error(err, "finding the Repositories of a name", "repository", repo.String())
		return
	}
	for i := range found {
		if found[i].Name != self {
			q.AddAfter(request(found[i].Name), after)
		}
	}
}

// repositoryOf is the repository that an object is about, and which Repository the object itself is, if any.
func repositoryOf(object client.Object) (repo imageref.Repository, self string, ok bool) {
	switch o := object.(type) {
	case *v1alpha1.Repository:
		repo, err := imageref.ParseRepository(o.Spec.Name)
		return repo, o.Name, err == nil
	case *v1alpha1.CachedImage:
		ref, err := imageref.Parse(o.Spec.SourceImage)
		return ref.Repository, "", err == nil
	}
	return imageref.Repository{}, "", false
}

func request(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Name: name}}
}

package revision

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/larder-dev/larder/api/v1alpha1"
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

// ownerChanged says whether an update changed which images a revision uses, as when a Job finishes.
func (r *Reconciler) ownerChanged(e event.UpdateEvent) bool {
	return !slices.Equal(r.scope.WorkloadImages(e.ObjectOld), r.scope.WorkloadImages(e.ObjectNew))
}

package repository

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// A watch that broke off is followed by a list, of which informers make updates.
func TestWatch_AnObjectMadeAnewIsLookedAt(t *testing.T) {
	t.Parallel()
	object := func(uid types.UID) *v1alpha1.Repository {
		meta := metav1.ObjectMeta{Name: "mine", UID: uid, Generation: 1, Finalizers: []string{v1alpha1.FinalizerImages}}
		return &v1alpha1.Repository{ObjectMeta: meta} // without a name it has no others
	}
	for uid, want := range map[types.UID]int{"1": 0, "2": 1} {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
		(&Reconciler{}).onRepository().Update(t.Context(), event.UpdateEvent{ObjectOld: object("1"), ObjectNew: object(uid)}, q)
		if got := q.Len(); got != want {
			t.Errorf("%d objects are looked at when 1 becomes %s, want %d", got, uid, want)
		}
		q.ShutDown()
	}
}

package pod

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// A watch that broke off is followed by a list, of which informers make updates.
func TestWatch_AnObjectMadeAnewOfAnotherImageLeavesOneWithout(t *testing.T) {
	t.Parallel()
	image := func(uid types.UID, source string) *v1alpha1.CachedImage {
		return &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "mine", UID: uid}, Spec: v1alpha1.CachedImageSpec{SourceImage: source}}
	}
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[imageref.Reference]())
	defer q.ShutDown()
	images := (&Reconciler{}).onCachedImage()
	images.Update(t.Context(), event.UpdateEvent{ObjectOld: image("1", "nginx:1"), ObjectNew: image("1", "nginx:1")}, q)
	if n := q.Len(); n != 0 {
		t.Errorf("%d images are looked at for an update", n)
	}
	images.Update(t.Context(), event.UpdateEvent{ObjectOld: image("1", "nginx:1"), ObjectNew: image("2", "redis:1")}, q)
	if q.Len() != 1 {
		t.Fatalf("%d images are looked at, want one", q.Len())
	}
	if ref, _ := q.Get(); ref.Short() != "nginx:1" {
		t.Errorf("%s is looked at", ref)
	}
}

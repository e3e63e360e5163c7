package cachedimage

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/larder-dev/larder/api/v1alpha1"
	podcontroller "github.com/larder-dev/larder/controllers/pod"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// enough is how many images are deleted in a race.
const enough = 40

// witness knows which pods there are, from the moment their creation was answered to the moment their end is asked for, and which of
// them the last live list must have seen.
type witness struct {
	mu       sync.Mutex
	pods     map[string]string // name to image
	listed   map[string]string // pods, as the last live list began
	deleted  int               // images
	wrong    []string
	afterAll int // images deleted of which a pod was created after the list: the registry closes this gap
}

// live notes which pods there are as a live list begins.
func (w *witness) live() interceptor.Funcs {
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
		if _, ok := list.(*corev1.PodList); ok && (&client.ListOptions{}).ApplyOptions(o).Continue == "" {
			w.mu.Lock()
			w.listed = maps.Clone(w.pods)
			w.mu.Unlock()
		}
		return c.List(ctx, list, o...)
	}}
}

// cached checks every deletion, and lets the cache forget pods at random where lag is more than 0.
func (w *witness) cached(lag float64) interceptor.Funcs {
	return interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			if _, ok := list.(*corev1.PodList); ok && rand.Float64() < lag {
				return nil
			}
			return c.List(ctx, list, o...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.DeleteOption) error {
			w.mu.Lock() // no pod comes or goes now, of which it would not be known whether it was before or after
			defer w.mu.Unlock()
			err := c.Delete(ctx, object, o...)
			if image, ok := object.(*v1alpha1.CachedImage); ok && err == nil {
				w.check(image)
			}
			return err
		},
	}
}

func (w *witness) check(image *v1alpha1.CachedImage) {
	w.deleted++
	for pod, source := range w.pods {
		if source != image.Spec.SourceImage {
			continue
		}
		if _, before := w.listed[pod]; before {
			w.wrong = append(w.wrong, fmt.Sprintf("%s, which %s uses", source, pod))
		} else {
			w.afterAll++
		}
	}
}

func (w *witness) add(ctx context.Context, name, source string) error {
	if err := cluster.Create(ctx, pod(name, source)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods[name] = source
	return nil
}

func (w *witness) end(ctx context.Context) error {
	w.mu.Lock()
	var name string
	for name = range w.pods {
		break
	}
	source := w.pods[name]
	delete(w.pods, name)
	w.mu.Unlock()
	if name == "" {
		return nil
	}
	return cluster.Delete(ctx, pod(name, source), client.GracePeriodSeconds(0))
}

// TestExpiry_RaceWithNewPods expires images as fast as it can while pods that use them come and go. Never is an image deleted of which
// a pod was there before the live list; in the end, each pod has its image.
func TestExpiry_RaceWithNewPods(t *testing.T) {
	for name, lag := range map[string]float64{"With a fresh cache": 0, "With a cache that forgets": 0.5} {
		t.Run(name, func(t *testing.T) {
			w := &witness{pods: map[string]string{}}
			p := start(t, setup{
				options: Options{ExpiryDelay: time.Millisecond, Grace: 50 * time.Millisecond},
				cached:  w.cached(lag), live: w.live(),
				also: func(m ctrl.Manager) error {
					return podcontroller.New(faithful(m), usage.Scope{Proxy: proxy}).Register(m)
				},
			})
			race(t, w)
			settled(t, w, lag)
			p.stop()
			for _, wrong := range w.wrong {
				t.Errorf("deleted %s", wrong)
			}
			if w.deleted < enough/4 {
				t.Errorf("only %d images were deleted: the race was none", w.deleted)
			}
			t.Logf("%d images deleted, %d of them as a pod appeared", w.deleted, w.afterAll)
		})
	}
}

// faithful is a manager's client without what a test put around it.
func faithful(m ctrl.Manager) client.Client {
	c := m.GetClient()
	for {
		wrapped, ok := c.(interface{ Unwrap() client.WithWatch })
		if !ok {
			return c
		}
		c = wrapped.Unwrap()
	}
}

// race has pods come and go until many images were deleted, and stands in for the registry: it lets go of those.
func race(t *testing.T, w *witness) {
	t.Helper()
	var group sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), endurance) // a busy machine deletes slowly
	defer cancel()
	over := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ctx.Err() != nil || w.deleted >= enough
	}
	for worker := range 3 {
		group.Go(func() {
			for i := 0; !over(); i++ {
				source := fmt.Sprintf("image:%d", rand.IntN(30))
				if err := w.add(t.Context(), fmt.Sprintf("pod-%d-%d", worker, i), source); err != nil {
					t.Error(err)
				}
				for range rand.IntN(3) {
					if err := w.end(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Go(func() {
		for !over() {
			release(t.Context(), t, &v1alpha1.CachedImageList{})
		}
	})
	group.Wait()
}

// settled waits until every pod that is left has its image. Where the cache forgets for ever, what it says of their use is not looked at.
func settled(t *testing.T, w *witness, lag float64) {
	t.Helper()
	w.mu.Lock()
	pods := maps.Clone(w.pods)
	w.mu.Unlock()
	eventually(t, func() error {
		release(t.Context(), t, &v1alpha1.CachedImageList{})
		for name, source := range pods {
			ref, err := imageref.Parse(source)
			if err != nil {
				return err
			}
			var image v1alpha1.CachedImage
			err = cluster.Get(t.Context(), client.ObjectKey{Name: ref.ObjectName(0)}, &image)
			switch {
			case apierrors.IsNotFound(err), err == nil && !image.DeletionTimestamp.IsZero():
				return fmt.Errorf("%s uses %s, which has no object", name, source)
			case err != nil:
				return err
			case lag == 0 && (!inUse(&image) || image.Spec.ExpiresAt != nil):
				return fmt.Errorf("%s uses %s, which says that nobody does: %+v", name, source, image.Status.UsedBy)
			}
		}
		return nil
	})
}

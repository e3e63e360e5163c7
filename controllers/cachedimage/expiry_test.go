package cachedimage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// stale is a cache that never hears of anyone who uses an image.
func stale() interceptor.Funcs {
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
		if _, ok := list.(*v1alpha1.CachedImageList); ok {
			return c.List(ctx, list, o...)
		}
		return nil
	}}
}

func TestExpiry_LiveListBeatsAStaleCache(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now, Workloads: true}, cached: stale()})
	create(t, pod("a", "pod:1"))
	create(t, cronJob("nightly", "workload:1"))
	used := []*v1alpha1.CachedImage{create(t, image(t, "pod:1")), create(t, image(t, "workload:1"))}
	unused := create(t, image(t, "unused:1"))
	for range 3 {
		for _, image := range used {
			shows(t, image, v1alpha1.ReasonUnused, "nothing uses it", true) // so it believes
		}
		clock.advance(month + defaultGrace)
		mustExpire(t, p)
	}
	gone(t, unused)
	for _, image := range used {
		if now := get(t, image); now == nil || now.UID != image.UID {
			t.Errorf("%s is in use, but was deleted", image.Name)
		}
	}
}

func TestExpiry_ChangedObjectStartsAgain(t *testing.T) {
	clock := newClock()
	var meanwhile atomic.Bool
	meanwhile.Store(true)
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}, cached: interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.DeleteOption) error {
			if meanwhile.Load() { // another replica of the controller has seen a pod
				patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"expiresAt":null}}`))
				if err := cluster.Patch(ctx, object.DeepCopyObject().(client.Object), patch); err != nil {
					return err
				}
			}
			return c.Delete(ctx, object, o...)
		},
	}})
	nginx := create(t, image(t, "nginx:1"))
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	clock.advance(month + defaultGrace)
	mustExpire(t, p)
	now := shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	if at := now.Spec.ExpiresAt; now.UID != nginx.UID || !at.Time.Equal(clock.Now().Add(month)) {
		t.Errorf("expires at %v, want a month after it changed", at)
	}
	meanwhile.Store(false)
	clock.advance(month + defaultGrace)
	mustExpire(t, p)
	gone(t, nginx)
}

func TestExpiry_FailedListDeletesNothing(t *testing.T) {
	for _, kind := range []string{"pods", "the second page of pods", "workloads"} {
		t.Run(kind, func(t *testing.T) {
			clock := newClock()
			var failing atomic.Bool
			failing.Store(true)
			p := start(t, setup{
				options: Options{ExpiryDelay: month, Now: clock.Now, Workloads: true},
				live: interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
					if !failing.Load() {
						return c.List(ctx, list, o...)
					}
					return failList(ctx, c, list, kind, o)
				}},
			})
			nginx := create(t, image(t, "nginx:1"))
			shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
			clock.advance(month + defaultGrace)
			if _, err := p.expire(t.Context()); !errors.Is(err, errOutage) {
				t.Errorf("got %v, want the error of the list", err)
			}
			if get(t, nginx) == nil {
				t.Fatal("deleted although nobody could tell who uses it")
			}
			failing.Store(false)
			mustExpire(t, p)
			gone(t, nginx)
		})
	}
}

var errOutage = errors.New("outage")

func failList(ctx context.Context, c client.Client, list client.ObjectList, kind string, o []client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(o)
	_, pods := list.(*corev1.PodList)
	switch {
	case pods && kind == "the second page of pods" && options.Continue == "":
		err := c.List(ctx, list, o...)
		list.SetContinue("more")
		return err
	case pods == (kind != "workloads"):
		return errOutage
	}
	return c.List(ctx, list, o...)
}

func TestExpiry_OneListServesAllThatIsDue(t *testing.T) {
	clock := newClock()
	var lists atomic.Int64
	p := start(t, setup{
		options: Options{ExpiryDelay: month, Now: clock.Now},
		live: interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			lists.Add(1)
			return c.List(ctx, list, o...)
		}},
	})
	var images []*v1alpha1.CachedImage
	for i := range 30 {
		images = append(images, create(t, image(t, fmt.Sprintf("image:%d", i))))
	}
	for _, image := range images {
		shows(t, image, v1alpha1.ReasonUnused, "nothing uses it", true)
	}
	mustExpire(t, p)
	if lists.Load() != 0 {
		t.Errorf("%d live lists while nothing was due, want none", lists.Load())
	}
	clock.advance(month + defaultGrace)
	mustExpire(t, p)
	for _, image := range images {
		gone(t, image)
	}
	if lists.Load() != 1 {
		t.Errorf("%d live lists, want 1", lists.Load())
	}
}

func TestExpiry_ClockJumpsDeleteNothingInUse(t *testing.T) {
	clock := newClock()
	p := start(t, setup{options: Options{ExpiryDelay: month, Now: clock.Now}})
	used, unused := create(t, image(t, "used:1")), create(t, image(t, "unused:1"))
	shows(t, used, v1alpha1.ReasonUnused, "nothing uses it", true)
	clock.advance(-20 * 365 * 24 * time.Hour)
	mustExpire(t, p)
	create(t, pod("a", "used:1"))
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
	if get(t, unused) == nil {
		t.Fatal("a clock that jumped back expired an image")
	}
	annotate(t, used, "back")
	clock.advance(60 * 365 * 24 * time.Hour)
	annotate(t, used, "forward")
	annotate(t, unused, "forward")
	gone(t, unused)
	mustExpire(t, p)
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
}

// TestExpiry_JudgesNothingBeforeItKnowsThePods holds back the answer to the list of pods with which the cache begins.
func TestExpiry_JudgesNothingBeforeItKnowsThePods(t *testing.T) {
	held := &gated{release: make(chan struct{}), asked: make(chan struct{})}
	config := rest.CopyConfig(cluster.Config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { held.RoundTripper = rt; return held })
	create(t, pod("a", "nginx:1"))
	nginx := create(t, image(t, "nginx:1"))
	p := start(t, setup{options: Options{ExpiryDelay: time.Second, Grace: time.Second}, config: config})
	<-held.asked
	eventually(t, func() error {
		var images v1alpha1.CachedImageList
		err := p.o.Client.List(t.Context(), &images)
		if err == nil && len(images.Items) != 1 {
			err = fmt.Errorf("%d images in the cache", len(images.Items))
		}
		return err
	})
	if n := p.writes.Load(); n != 0 {
		t.Errorf("%d writes before the pods were known", n)
	}
	close(held.release)
	shows(t, nginx, v1alpha1.ReasonPods, "1 pod uses it", false)
	if n := p.writes.Load(); n != 1 {
		t.Errorf("%d writes, want that of the status alone", n)
	}
}

// gated holds requests for pods until it is released.
type gated struct {
	http.RoundTripper
	once           sync.Once
	asked, release chan struct{}
}

func (g *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/pods") {
		g.once.Do(func() { close(g.asked) })
		select {
		case <-g.release:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return g.RoundTripper.RoundTrip(r)
}

func TestExpiry_SeesEveryPage(t *testing.T) {
	p := start(t, setup{options: Options{ExpiryDelay: month}})
	parallel(t, page+20, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("pod-%d", i)
		return cluster.Create(ctx, pod(name, name+":1"))
	})
	used, err := p.o.used(t.Context())
	if err != nil || len(used) != page+20 {
		t.Errorf("%d images in use (%v), want %d", len(used), err, page+20)
	}
}

// parallel calls do for each of n numbers.
func parallel(t *testing.T, n int, do func(ctx context.Context, i int) error) {
	t.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(t.Context(), i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// inUse tells what an image's condition says.
func inUse(image *v1alpha1.CachedImage) bool {
	return meta.IsStatusConditionTrue(image.Status.Conditions, v1alpha1.ConditionInUse)
}

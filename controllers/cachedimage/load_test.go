package cachedimage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
)

// TestLoad_ManyPodsOfAnImageCostFewWrites creates and removes 5,000 pods as fast as the API server can.
func TestLoad_ManyPodsOfAnImageCostFewWrites(t *testing.T) {
	const pods = 5000
	p := start(t, setup{options: Options{ExpiryDelay: month}})
	nginx := create(t, image(t, "nginx:1"))
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	before, began := p.writes.Load(), time.Now()
	bounded := func(what string) {
		t.Helper()
		// A status once in an interval, and expiresAt is set or cleared once.
		limit := int64(time.Since(began)/interval) + 3
		if n := p.writes.Load() - before; n > limit {
			t.Errorf("%s: %d writes in %v, want at most %d", what, n, time.Since(began), limit)
		} else {
			t.Logf("%s: %d writes in %v", what, n, time.Since(began))
		}
		before, began = p.writes.Load(), time.Now()
	}
	parallel(t, pods, func(ctx context.Context, i int) error {
		return cluster.Create(ctx, pod(fmt.Sprintf("pod-%d", i), "nginx:1"))
	})
	full := shows(t, nginx, v1alpha1.ReasonPods, "5000 pods use it", false)
	bounded("as they came")
	if used := full.Status.UsedBy; used.Count != pods || len(used.Pods) != listed {
		t.Errorf("%d pods counted and %d named, want %d and %d", used.Count, len(used.Pods), pods, listed)
	}
	err := cluster.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("default"), client.GracePeriodSeconds(0))
	if err != nil {
		t.Fatal(err)
	}
	shows(t, nginx, v1alpha1.ReasonUnused, "nothing uses it", true)
	bounded("as they went")
}

func TestLoad_PaceLetsTheFirstPass(t *testing.T) {
	var p pace
	if wait := p.wait("a"); wait != 0 {
		t.Errorf("the first waits %v", wait)
	}
	p.wrote("a")
	if wait := p.wait("a"); wait <= 0 || wait > interval {
		t.Errorf("the second waits %v, want up to %v", wait, interval)
	}
	if wait := p.wait("b"); wait != 0 {
		t.Errorf("another image waits %v", wait)
	}
	p.forget("a")
	if wait := p.wait("a"); wait != 0 {
		t.Errorf("one made anew waits %v", wait)
	}
}

// looks tells how often the reconciler looked at which image, and when it did last.
type looks struct {
	mu   sync.Mutex
	last time.Time
	at   map[string]int
}

func (l *looks) funcs() interceptor.Funcs {
	l.at = map[string]int{}
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, o ...client.GetOption) error {
			l.mu.Lock()
			l.last = time.Now()
			l.at[key.Name]++
			l.mu.Unlock()
			return c.Get(ctx, key, object, o...)
		},
	}
}

func (l *looks) of(image *v1alpha1.CachedImage) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[image.Name]
}

// TestLoad_NothingIsWrittenWhereNothingChanges has a pod tell of its health, and the registry of its progress: neither so much as
// has the reconciler read the image, without which it writes nothing.
func TestLoad_NothingIsWrittenWhereNothingChanges(t *testing.T) {
	var l looks
	start(t, setup{options: Options{ExpiryDelay: month}, cached: l.funcs()})
	used, unused := create(t, image(t, "used:1")), create(t, image(t, "unused:1"))
	a := create(t, pod("a", "used:1"))
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
	shows(t, unused, v1alpha1.ReasonUnused, "nothing uses it", true)
	eventually(t, func() error { // what was written is an event too
		l.mu.Lock()
		defer l.mu.Unlock()
		if quiet := time.Since(l.last); quiet < interval+time.Second {
			return fmt.Errorf("quiet only for %v", quiet)
		}
		return nil
	})
	looked := []int{l.of(used), l.of(unused)}
	for i := range 20 {
		a.Status = corev1.PodStatus{Phase: corev1.PodRunning, Message: fmt.Sprint("heartbeat ", i)}
		if err := cluster.Status().Update(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		progress := v1alpha1.CachedImageStatus{Phase: v1alpha1.CachedImageMirroring, Progress: fmt.Sprintf("%d%%", i)}
		if _, err := status.ApplyImage(t.Context(), cluster, status.Registry, get(t, used), progress, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	later := create(t, image(t, "later:1")) // once it and its pod have been seen, all that came before was
	create(t, pod("b", "later:1"))
	shows(t, later, v1alpha1.ReasonPods, "1 pod uses it", false)
	if now := []int{l.of(used), l.of(unused)}; !slices.Equal(looked, now) {
		t.Errorf("looked at the images %v times, before %v", now, looked)
	}
}

// TestLoad_RestartWritesNothing starts a second process where a first one has written all there is to say.
func TestLoad_RestartWritesNothing(t *testing.T) {
	options := Options{ExpiryDelay: month, Workloads: true}
	p := start(t, setup{options: options})
	create(t, cronJob("nightly", "kept:1"))
	create(t, pod("a", "used:1"))
	used, kept, unused := create(t, image(t, "used:1")), create(t, image(t, "kept:1")), create(t, image(t, "unused:1"))
	shows(t, used, v1alpha1.ReasonPods, "1 pod uses it", false)
	shows(t, kept, v1alpha1.ReasonWorkloads, "kept by CronJob default/nightly", false)
	shows(t, unused, v1alpha1.ReasonUnused, "nothing uses it", true)
	p.stop()

	var l looks
	p = start(t, setup{options: options, cached: l.funcs()})
	for _, image := range []*v1alpha1.CachedImage{used, kept, unused} {
		eventually(t, func() error {
			if l.of(image) == 0 {
				return fmt.Errorf("%s was not looked at", image.Name)
			}
			return nil
		})
	}
	p.stop() // a look that has begun is over then
	if n := p.writes.Load(); n != 0 {
		t.Errorf("%d writes after a restart, want none", n)
	}
}

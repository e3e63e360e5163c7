// Package policy keeps the policies in force in step with the API server, and with a snapshot on the disk where that does not answer.
//
// It writes nothing to the API server: what is wrong with an object is said in its status by others.
package policy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

const (
	// settle is how long a change waits for others: a wave of new objects is compiled five times a second.
	settle = 200 * time.Millisecond
	// snapshotEvery is how often the snapshot is written at most.
	snapshotEvery = 2 * time.Second
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
type Reconciler struct {
	o        Options
	snapshot snapshot
	known    map[policy.Problem]bool // of the last compilation
	told     atomic.Bool             // whether the API server told the policies in force
	kept     atomic.Bool             // whether a snapshot did
}

// New returns a reconciler.
func New(o Options) *Reconciler { return &Reconciler{o: o, snapshot: snapshot{path: o.Snapshot}} }

// Told says whether the policies in force are what the API server told since the start, rather than what a snapshot remembers.
func (r *Reconciler) Told() bool { return r.told.Load() }

// Known says whether the policies in force are what the API server said, be it before the start.
func (r *Reconciler) Known() bool { return r.told.Load() || r.kept.Load() }

// Load puts in force what the snapshot says, if there is one: a registry that starts without the API server does what it did before.
// On an error, and without a snapshot, the defaults alone are in force.
func (r *Reconciler) Load() error {
	kept, err := r.snapshot.read()
	r.compile(kept)
	if err == nil && r.snapshot.text != nil {
		r.kept.Store(true)
		r.o.Log.Info("policies are the last known ones", "repositories", len(kept.Repositories), "images", len(kept.CachedImages))
	}
	return err
}

// Register adds the reconciler to a manager. It needs no leader.
func (r *Reconciler) Register(m manager.Manager) error {
	err := ctrl.NewControllerManagedBy(m).Named("policy").
		Watches(&v1alpha1.Repository{}, enqueue(), builder.WithPredicates(changed())).
		Watches(&v1alpha1.CachedImage{}, enqueue(), builder.WithPredicates(changed())).
		WatchesRawSource(source.Func(once)). // no object at all is a state too
		WithOptions(controller.Options{NeedLeaderElection: new(false)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of policies: %w", err)
	}
	return nil
}

// Reconcile puts in force what the API server says now.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	listed, err := r.list(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.compile(listed)
	if !r.told.Swap(true) {
		r.o.Log.Info("policies follow the API server", "repositories", len(listed.Repositories), "images", len(listed.CachedImages))
	}
	wait, err := r.snapshot.write(listed, time.Now())
	return ctrl.Result{RequeueAfter: wait}, err
}

// list reads all objects. They are the cache's own: nobody may change them.
func (r *Reconciler) list(ctx context.Context) (objects, error) {
	var repositories v1alpha1.RepositoryList
	if err := r.o.Client.List(ctx, &repositories, client.UnsafeDisableDeepCopy); err != nil {
		return objects{}, fmt.Errorf("listing the Repositories: %w", err)
	}
	var images v1alpha1.CachedImageList
	if err := r.o.Client.List(ctx, &images, client.UnsafeDisableDeepCopy); err != nil {
		return objects{}, fmt.Errorf("listing the CachedImages: %w", err)
	}
	return objects{Repositories: repositories.Items, CachedImages: images.Items}, nil
}

// compile puts objects in force, and logs what of them is not, once for as long as it stands.
func (r *Reconciler) compile(o objects) {
	set, problems := policy.Compile(o.Repositories, o.CachedImages, r.o.Defaults)
	r.o.Current.Store(set)
	known := make(map[policy.Problem]bool, len(problems))
	for _, p := range problems {
		known[p] = true
		if !r.known[p] {
			r.o.Log.Info("not in force", "kind", p.Kind, "name", p.Name, "field", p.Field, "reason", p.Reason)
		}
	}
	r.known = known
}

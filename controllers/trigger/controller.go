// Package trigger rolls the Deployments, StatefulSets and DaemonSets that ask for it when a tag that they run was superseded, as kubectl
// rollout restart does: once the new revision is stored whole, once for each, and only where a restart would pull it.
//
// Caches decide when a workload is looked at. Whether it is restarted is decided by what the API server says of it at that moment, and by a
// write that fails where it changed meanwhile. What it was restarted for is in its template, in the same write: its revisions remember it,
// whoever rolls it back, and whichever replica leads.
package trigger

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	// defaultInterval is how long there is between two restarts of a workload at least, where it does not say.
	defaultInterval = 10 * time.Minute
	// lag is for how much longer than a revision of a tag needs to settle a restart waits: the clock of the API server, which says how old
	// a revision of a workload is, may be behind ours.
	lag = 15 * time.Second
	// Of the workloads that use one image, burst are restarted at a time, and others breath later: an image that many use must not have all
	// of them start at once.
	burst  = 10
	breath = 20 * time.Second
	// again is how long to wait for the cache after a conflict.
	again = time.Second
)

// Options configure a Reconciler.
type Options struct {
	Client   client.Client // with a cache that package usage indexed
	Live     client.Reader // without a cache
	Scope    usage.Scope
	Defaults policy.Defaults // that Repositories inherit
	Events   events.EventRecorder
	Metrics  prometheus.Registerer
	Now      func() time.Time // nil: time.Now
}

// Reconciler looks after the workloads that use one CachedImage.
type Reconciler struct {
	o        Options
	restarts *prometheus.CounterVec // kind
	warned   warned
}

// New returns a reconciler and registers its metrics. The client's cache is indexed by usage.IndexImages, usage.IndexRepositories and
// usage.IndexWorkloads.
func New(o Options) (*Reconciler, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Reconciler{o: o, warned: warned{}, restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_workload_restarts_total", Help: "Workloads that were restarted because an image of theirs was superseded, by kind.",
	}, []string{"kind"})}
	if err := o.Metrics.Register(r.restarts); err != nil {
		return nil, fmt.Errorf("registering the metrics of triggers: %w", err)
	}
	return r, nil
}

// Reconcile restarts the workloads that an image was superseded for, and says of which a restart would not help.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var image v1alpha1.CachedImage
	if err := r.o.Client.Get(ctx, req.NamespacedName, &image); err != nil || !image.DeletionTimestamp.IsZero() {
		delete(r.warned, req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &pass{image: &image, now: r.o.Now()}
	var err error
	if p.target, err = r.targetOf(ctx, &image); err != nil {
		return ctrl.Result{}, err
	}
	if p.target != nil {
		err = r.visit(ctx, p)
	}
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: again}, nil
	case err != nil:
		return ctrl.Result{}, err
	case p.cut: // not all were asked yet whether they would pull
		return ctrl.Result{RequeueAfter: breath}, nil
	}
	return ctrl.Result{RequeueAfter: p.after}, r.tell(ctx, p)
}

// pass is one look at the workloads of an image.
type pass struct {
	image    *v1alpha1.CachedImage
	now      time.Time
	target   *target       // nil: nothing is to be run yet
	after    time.Duration // look again after that; 0: no need to
	restarts int
	cut      bool      // it ended at burst
	wouldNot []refusal // of workloads that ask to be restarted
}

// visit looks at the workloads that use an image and ask to be restarted for it.
func (r *Reconciler) visit(ctx context.Context, p *pass) error {
	objects, err := usage.Rolled(ctx, r.o.Client, p.target.ref)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if !p.target.wanted(object.GetAnnotations()) || !object.GetDeletionTimestamp().IsZero() {
			continue
		}
		if wait := p.target.due.Sub(p.now); wait > 0 { // for all of them
			p.after = wait
			return nil
		}
		if p.cut = p.restarts == burst; p.cut {
			return nil
		}
		if err := r.consider(ctx, p, object); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// consider has one workload restarted, where that is to be.
func (r *Reconciler) consider(ctx context.Context, p *pass, object client.Object) error {
	targets, err := r.targets(ctx, object)
	if err != nil {
		return err
	}
	w, err := r.read(ctx, object)
	if err != nil {
		return err
	}
	d := decide(w, r.o.Scope, targets, p.now)
	if reason := d.wouldNot[p.target.ref]; reason != "" {
		p.wouldNot = append(p.wouldNot, refusal{w, reason})
	}
	if d.after > 0 && (p.after == 0 || d.after < p.after) {
		p.after = d.after
	}
	if len(d.restart) == 0 {
		return nil
	}
	p.restarts++
	return r.restart(ctx, p, w, d.restart)
}

// targets lists those of all images of a workload: one restart is for all of them.
func (r *Reconciler) targets(ctx context.Context, object client.Object) ([]*target, error) {
	var targets []*target
	for _, ref := range r.o.Scope.WorkloadImages(object) {
		images, err := usage.CachedImages(ctx, r.o.Client, ref)
		if err != nil {
			return nil, err
		}
		for i := range images {
			t, err := r.targetOf(ctx, &images[i])
			if err != nil {
				return nil, err
			}
			if t != nil {
				targets = append(targets, t)
				break // several objects of one image tell of the same tag
			}
		}
	}
	return targets, nil
}

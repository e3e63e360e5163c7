// Package cachedimage tells CachedImages who uses them, and removes those that nobody does: it writes usedBy, the condition InUse and
// spec.expiresAt, and deletes an image whose time has come after it looked again. What is stored is the registry's affair.
//
// It is made so that no image in use is deleted. Informers may lag and clocks may jump: they decide when an image is looked at again.
// Whether it goes is decided by a list that the API server answers at that moment, by what the cache has heard since, and by a delete
// that fails where the object changed meanwhile, as it does when a pod appears: then spec.expiresAt is cleared.
package cachedimage

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	defaultGrace = 5 * time.Minute
	// again is how long to wait for the cache after a conflict.
	again = 200 * time.Millisecond
)

// Options configure a Reconciler.
type Options struct {
	Client      client.Client // with a cache that package usage indexed
	Live        client.Reader // without a cache
	Scope       usage.Scope
	Workloads   bool             // whether templates of workloads keep images too
	ExpiryDelay time.Duration    // from the last use to Expiring; 0: images never expire, and no expiresAt stays
	Grace       time.Duration    // from Expiring to the deletion; 0: 5 minutes
	Now         func() time.Time // nil: time.Now
}

// Reconciler looks after the use of one CachedImage.
type Reconciler struct {
	o    Options
	pace pace
}

// New returns a reconciler. The client's cache is indexed by usage.IndexPods and usage.IndexImages, and with Workloads by
// usage.IndexWorkloads.
func New(o Options) *Reconciler {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reconciler{o: o}
}

// Reconcile says who uses an image, and when it expires where nobody does.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var image v1alpha1.CachedImage
	if err := r.o.Client.Get(ctx, req.NamespacedName, &image); err != nil {
		if apierrors.IsNotFound(err) {
			r.pace.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	wait := r.pace.wait(req.Name)
	if wait > 0 && image.Spec.ExpiresAt == nil {
		return ctrl.Result{RequeueAfter: wait}, nil // only a use that ends an expiry cannot wait
	}
	ref, err := imageref.Parse(image.Spec.SourceImage)
	if err != nil {
		return ctrl.Result{}, nil //nolint:nilerr // the registry tells the person who wrote it
	}
	users, err := r.o.users(ctx, ref)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.schedule(ctx, &image, users); err != nil {
		return settle(err)
	}
	wait, err = r.tell(ctx, &image, users, wait)
	if err != nil {
		return settle(err)
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}

// retained says whether an image is kept although nothing uses it. A pin would go with its object.
func retained(image *v1alpha1.CachedImage) bool {
	return image.Spec.Retain || image.Spec.PinnedDigest != ""
}

// schedule makes spec.expiresAt what the use of an image asks for.
func (r *Reconciler) schedule(ctx context.Context, image *v1alpha1.CachedImage, users users) error {
	if !image.DeletionTimestamp.IsZero() {
		return nil
	}
	switch kept := users.any() || retained(image) || r.o.ExpiryDelay == 0; {
	case kept && image.Spec.ExpiresAt != nil:
		return r.o.setExpiry(ctx, image, time.Time{})
	case !kept && image.Spec.ExpiresAt == nil:
		r.pace.wrote(image.Name)
		return r.o.setExpiry(ctx, image, r.o.Now().Add(r.o.ExpiryDelay))
	}
	return nil
}

// tell writes the status, unless it says so already or was written the moment before: then it returns how long to wait.
func (r *Reconciler) tell(ctx context.Context, image *v1alpha1.CachedImage, users users, wait time.Duration) (time.Duration, error) {
	desired := users.status(image, r.o.Now())
	if wait > 0 || says(image, desired) {
		return wait, nil
	}
	r.pace.wrote(image.Name)
	return status.ApplyImage(ctx, r.o.Client, status.Controller, image, desired, r.o.Now())
}

// settle turns an error that tells that the cache lags behind into a wait.
func settle(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

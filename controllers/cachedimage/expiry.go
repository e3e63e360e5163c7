package cachedimage

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
)

const (
	// patience bounds the wait for the next image that is due: timers do not notice that the wall clock was set.
	patience = time.Hour
	// fresh is how long a live list is believed. Images that are not deleted by then wait for the next.
	fresh = 15 * time.Second
)

// expiry deletes the images whose time has come: all of them by one request, so that one live list serves them all. It is run by one
// worker.
type expiry struct {
	o     Options
	swept time.Time
}

// Reconcile deletes what is due, and returns when something is next.
func (e *expiry) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	due, next, err := e.due(ctx)
	if err != nil || len(due) == 0 {
		return ctrl.Result{RequeueAfter: next}, err
	}
	between := e.o.Grace / 10 // images that fall due one after the other go together
	if wait := between - time.Since(e.swept); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	e.swept = time.Now()
	if err := e.remove(ctx, due); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: max(between, again)}, nil
}

// due lists the images whose time has come, and says how long it is until the next, as far as the cache knows.
func (e *expiry) due(ctx context.Context) (due []types.NamespacedName, next time.Duration, err error) {
	var images v1alpha1.CachedImageList
	if err := e.o.Client.List(ctx, &images, client.UnsafeDisableDeepCopy); err != nil {
		return nil, 0, fmt.Errorf("listing CachedImages: %w", err)
	}
	for i := range images.Items {
		switch wait, expires := e.wait(&images.Items[i]); {
		case !expires:
		case wait == 0:
			due = append(due, client.ObjectKeyFromObject(&images.Items[i]))
		case next == 0 || wait < next:
			next = wait
		}
	}
	return due, next, nil
}

// wait says how long it is until an image is due, at most patience, and whether it expires at all.
func (e *expiry) wait(image *v1alpha1.CachedImage) (wait time.Duration, expires bool) {
	if image.Spec.ExpiresAt == nil || retained(image) || !image.DeletionTimestamp.IsZero() {
		return 0, false
	}
	due := image.Spec.ExpiresAt.Add(e.o.Grace)
	return min(max(0, due.Sub(e.o.Now())), patience), true
}

// remove deletes those of the images that are still due and that nobody uses, as the API server says now.
func (e *expiry) remove(ctx context.Context, due []types.NamespacedName) error {
	images, err := e.read(ctx, due) // before the list, so that a use that is noted from here on fails the delete
	if err != nil || len(images) == 0 {
		return err
	}
	used, err := e.o.used(ctx)
	if err != nil {
		return err
	}
	listed := time.Now() // its end: however long a list takes, what it was for gets done
	var errs []error
	for i := range images {
		if time.Since(listed) > fresh {
			break
		}
		err := e.decide(ctx, &images[i], used)
		if !apierrors.IsConflict(err) { // it changed: again, from the start
			errs = append(errs, client.IgnoreNotFound(err))
		}
	}
	return errors.Join(errs...)
}

// read returns those of the images that the API server too has due.
func (e *expiry) read(ctx context.Context, due []types.NamespacedName) ([]v1alpha1.CachedImage, error) {
	var images []v1alpha1.CachedImage
	for _, name := range due {
		var image v1alpha1.CachedImage
		err := e.o.Live.Get(ctx, name, &image)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading CachedImage %s: %w", name.Name, err)
		}
		if wait, expires := e.wait(&image); expires && wait == 0 {
			images = append(images, image)
		}
	}
	return images, nil
}

// decide deletes an image unless it is used, by the live list or by what the cache has heard since.
func (e *expiry) decide(ctx context.Context, image *v1alpha1.CachedImage, used map[imageref.Reference]bool) error {
	ref, err := imageref.Parse(image.Spec.SourceImage)
	if err != nil {
		return nil //nolint:nilerr // nobody can tell who uses it
	}
	if used[ref] {
		return e.o.setExpiry(ctx, image, time.Time{}) // the cache lags behind
	}
	users, err := e.o.users(ctx, ref)
	if err != nil || users.any() {
		return err
	}
	err = e.o.Client.Delete(ctx, image, client.Preconditions{UID: &image.UID, ResourceVersion: &image.ResourceVersion})
	if err != nil {
		return fmt.Errorf("deleting CachedImage %s: %w", image.Name, err)
	}
	log.FromContext(ctx).Info("expired image deleted", "image", ref.String(), "name", image.Name)
	return nil
}

// setExpiry sets spec.expiresAt, or clears it where at is zero, unless the object changed since it was read.
func (o Options) setExpiry(ctx context.Context, image *v1alpha1.CachedImage, at time.Time) error {
	before := image.DeepCopy()
	image.Spec.ExpiresAt = nil
	if !at.IsZero() {
		image.Spec.ExpiresAt = new(metav1.NewTime(at.Truncate(time.Second)))
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := o.Client.Patch(ctx, image, patch, status.Controller); err != nil {
		return fmt.Errorf("setting when CachedImage %s expires: %w", image.Name, err)
	}
	return nil
}

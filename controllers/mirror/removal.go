package mirror

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

// hold puts the finalizer on an object that has none: from then on it does not go before its tag does.
// An informer that is behind does not have it put on twice.
func (r *Reconciler) hold(ctx context.Context, found *v1alpha1.CachedImage, o *object) error {
	version := found.ResourceVersion
	if version == o.heldFrom || controllerutil.ContainsFinalizer(found, v1alpha1.FinalizerUntag) {
		return nil
	}
	if err := r.setFinalizer(ctx, found, controllerutil.AddFinalizer); err != nil {
		return err
	}
	o.heldFrom = version
	return nil
}

func (r *Reconciler) setFinalizer(ctx context.Context, found *v1alpha1.CachedImage, set func(client.Object, string) bool) error {
	before := found.DeepCopy()
	if !set(found, v1alpha1.FinalizerUntag) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}) // the list is replaced: others' are in it
	if err := r.o.Client.Patch(ctx, found, patch); err != nil {
		return fmt.Errorf("setting the finalizers of CachedImage %s: %w", found.Name, err)
	}
	return nil
}

// remove untags the image of an object that is deleted, unless it is in use, and lets the object go.
func (r *Reconciler) remove(ctx context.Context, found *v1alpha1.CachedImage, ref imageref.Reference, parsed bool) (ctrl.Result, error) {
	if !r.memory.leave(found.Name, r.mirrors) {
		return ctrl.Result{}, nil // the end of its mirror comes soon, and brings us back here
	}
	if controllerutil.ContainsFinalizer(found, v1alpha1.FinalizerUntag) {
		if parsed {
			if err := errors.Join(r.releasePin(ctx, found, ref), r.untag(ctx, found, ref)); err != nil {
				return ctrl.Result{}, r.terminating(ctx, found, err)
			}
		}
		err := r.setFinalizer(ctx, found, controllerutil.RemoveFinalizer)
		if err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	if len(found.Finalizers) == 0 {
		return ctrl.Result{}, nil // it is gone
	}
	return ctrl.Result{}, r.terminating(ctx, found, nil)
}

// untag removes the tag, unless a pod uses it or another object names it.
func (r *Reconciler) untag(ctx context.Context, found *v1alpha1.CachedImage, ref imageref.Reference) error {
	if ref.Digest != "" {
		return nil // a pull by digest leaves no tag behind
	}
	pods, err := usage.PodsUsing(ctx, r.o.Client, ref)
	if err != nil || len(pods) > 0 {
		return err
	}
	var others v1alpha1.CachedImageList
	if err := r.o.Client.List(ctx, &others, client.MatchingFields{usage.FieldImage: ref.String()}); err != nil {
		return fmt.Errorf("listing the CachedImages of %s: %w", ref, err)
	}
	for i := range others.Items {
		if other := &others.Items[i]; other.UID != found.UID && other.DeletionTimestamp.IsZero() {
			return nil
		}
	}
	if err := r.o.Cache.Untag(ctx, ref); err != nil {
		return fmt.Errorf("untagging %s: %w", ref, err)
	}
	r.untagged(found, ref)
	return nil
}

// terminating says in the status that the object is being deleted, and what holds it.
func (r *Reconciler) terminating(ctx context.Context, found *v1alpha1.CachedImage, cause error) error {
	now := r.o.Now()
	desired := *found.Status.DeepCopy()
	desired.UsedBy, desired.Conditions, desired.Progress = nil, nil, ""
	desired.Phase, desired.ObservedGeneration = v1alpha1.CachedImageTerminating, found.Generation
	message := "the image is untagged; other finalizers hold the object"
	if cause != nil {
		message = "the image cannot be untagged (" + firstLine(cause) + "): it is tried again by itself"
	}
	status.Set(&desired.Conditions, found.Status.Conditions, now, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonTerminating,
		Message: message, ObservedGeneration: found.Generation,
	})
	_, err := status.ApplyImage(ctx, r.o.Client, status.Registry, found, desired, now)
	if cause != nil {
		return cause
	}
	return client.IgnoreNotFound(err)
}

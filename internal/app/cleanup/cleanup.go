// Package cleanup is larder cleanup: it removes from a cluster what nobody would remove once Larder is uninstalled. It never removes an
// object, no image, and no finalizer of somebody else.
package cleanup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/options/cleanup"
)

const (
	// rounds are how often objects are looked at anew: the last processes may hold some more while they end.
	rounds = 30
	pause  = time.Second
)

// finalizers are Larder's: of CachedImages until a registry has untagged them, of Repositories until a controller finds them without images.
var finalizers = []string{v1alpha1.FinalizerUntag, v1alpha1.FinalizerImages}

// Run removes the finalizers by which Larder holds CachedImages and Repositories, from all of them. It goes on until there is none left;
// where there is a process that puts them on again, it fails in the end. It is no error that the kinds are gone.
func Run(ctx context.Context, o cleanup.Options, log logr.Logger) error {
	c, err := kube.NewClient(o.Cluster.Config)
	if err != nil {
		return err
	}
	released := 0
	for range rounds {
		held, err := list(ctx, c)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			log.Info("released", "objects", released)
			return nil
		}
		for _, object := range held {
			if err := release(ctx, c, object); err != nil {
				return err
			}
		}
		released += len(held)
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return errors.New("objects are held again by a Larder that still runs: uninstall it first, then run this again")
}

// list returns the objects that have a finalizer of Larder's.
func list(ctx context.Context, c client.Reader) ([]client.Object, error) {
	var images v1alpha1.CachedImageList
	var repositories v1alpha1.RepositoryList
	for _, all := range []client.ObjectList{&images, &repositories} {
		if err := c.List(ctx, all); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("listing %T: %w", all, err)
		}
	}
	var held []client.Object
	hold := func(object client.Object) {
		for _, finalizer := range finalizers {
			if controllerutil.ContainsFinalizer(object, finalizer) {
				held = append(held, object)
				return
			}
		}
	}
	for i := range images.Items {
		hold(&images.Items[i])
	}
	for i := range repositories.Items {
		hold(&repositories.Items[i])
	}
	return held, nil
}

// release removes the finalizers, and leaves those of others. What changed meanwhile is left to the next round.
func release(ctx context.Context, c client.Writer, object client.Object) error {
	before := object.DeepCopyObject().(client.Object)
	for _, finalizer := range finalizers {
		controllerutil.RemoveFinalizer(object, finalizer)
	}
	err := c.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing the finalizers of %T %s: %w", object, object.GetName(), err)
	}
	return nil
}

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

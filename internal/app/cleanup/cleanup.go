// Package cleanup is larder cleanup: it removes from a cluster what nobody would remove once Larder is uninstalled. It never removes an
// object that it did not find marked as Larder's, and no image.
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
	// rounds are how often CachedImages are looked at anew: the last registry may hold some more while it ends.
	rounds = 30
	pause  = time.Second
)

// Run removes the finalizer that holds deleted CachedImages until a registry has untagged them, from all of them. It goes on until
// there is none left; where there is a registry that puts it on again, it fails in the end. It is no error that the kind is gone.
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
			log.Info("released", "cachedImages", released)
			return nil
		}
		for i := range held {
			if err := release(ctx, c, &held[i]); err != nil {
				return err
			}
		}
		released += len(held)
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return errors.New("CachedImages are held again by larder registry, which still runs: uninstall it first, then run this again")
}

// list returns the CachedImages that have the finalizer.
func list(ctx context.Context, c client.Reader) ([]v1alpha1.CachedImage, error) {
	var all v1alpha1.CachedImageList
	if err := c.List(ctx, &all); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("listing CachedImages: %w", err)
	}
	var held []v1alpha1.CachedImage
	for _, image := range all.Items {
		if controllerutil.ContainsFinalizer(&image, v1alpha1.FinalizerUntag) {
			held = append(held, image)
		}
	}
	return held, nil
}

// release removes the finalizer, and leaves those of others. What changed meanwhile is left to the next round.
func release(ctx context.Context, c client.Writer, image *v1alpha1.CachedImage) error {
	before := image.DeepCopy()
	controllerutil.RemoveFinalizer(image, v1alpha1.FinalizerUntag)
	err := c.Patch(ctx, image, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing the finalizer of CachedImage %s: %w", image.Name, err)
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

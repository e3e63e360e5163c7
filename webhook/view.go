package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// ErrNotSynced says that the API server has not told everything yet.
var ErrNotSynced = errors.New("the API server has not told all namespaces and images yet")

// View is what the webhook knows of the cluster, kept by a cache. Nothing that is asked of it waits: before it has synced it knows nothing.
type View struct {
	reader    client.Reader
	informers []cache.Informer
}

// NewView returns a view on a cache that usage.IndexImages prepared, and has it keep namespaces and CachedImages.
func NewView(ctx context.Context, c cache.Cache) (*View, error) {
	v := &View{reader: c}
	for _, object := range []client.Object{&corev1.Namespace{}, &v1alpha1.CachedImage{}} {
		informer, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watching what the webhook knows: %w", err)
		}
		v.informers = append(v.informers, informer)
	}
	return v, nil
}

// Check is ErrNotSynced until the view has synced.
func (v *View) Check() error {
	if slices.ContainsFunc(v.informers, func(i cache.Informer) bool { return !i.HasSynced() }) {
		return ErrNotSynced
	}
	return nil
}

// NamespaceLabels returns the labels of a namespace; nil where it is not known.
func (v *View) NamespaceLabels(ctx context.Context, name string) map[string]string {
	var namespace corev1.Namespace
	if v.Check() != nil || v.reader.Get(ctx, client.ObjectKey{Name: name}, &namespace) != nil {
		return nil
	}
	return namespace.Labels
}

// Unavailable says whether Larder does not have an image and will not get it before somebody acts: all CachedImages of it say so.
func (v *View) Unavailable(ref imageref.Reference) bool {
	if v.Check() != nil {
		return false
	}
	images, err := usage.CachedImages(context.Background(), v.reader, ref)
	return err == nil && len(images) > 0 && !slices.ContainsFunc(images, func(image v1alpha1.CachedImage) bool { return !hopeless(&image) })
}

func hopeless(image *v1alpha1.CachedImage) bool {
	if image.Status.Phase != v1alpha1.CachedImageFailed || ptr.Deref(image.Status.IsCached, false) {
		return false
	}
	ready := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && slices.Contains([]string{
		v1alpha1.ReasonNotFound, v1alpha1.ReasonDenied, v1alpha1.ReasonRefused, v1alpha1.ReasonNoPlatform,
	}, ready.Reason)
}

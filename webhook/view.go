package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/usage"
)

// ErrNotSynced says that the API server has not told everything yet.
var ErrNotSynced = errors.New("the API server has not told all namespaces and images yet")

// View is what the webhook knows of the cluster, kept by a cache. Nothing that is asked of it waits: before it has synced it knows nothing.
type View struct {
	scope     usage.Scope
	reader    client.Reader
	informers []cache.Informer
}

// NewView returns a view on a cache that usage.IndexImages, IndexRepositories and IndexPods prepared, and has it keep namespaces, Larder's
// own kinds and pods.
func NewView(ctx context.Context, c cache.Cache, scope usage.Scope) (*View, error) {
	v := &View{scope: scope, reader: c}
	for _, object := range []client.Object{&corev1.Namespace{}, &v1alpha1.CachedImage{}, &v1alpha1.Repository{}, &corev1.Pod{}} {
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

// resolved returns the digest behind a tag that the other pods of a workload's revision run; empty where there is none. It stands above
// the history: that may be younger than they are, or be told late.
func (v *View) resolved(ctx context.Context, owner rollout.Owner, ref imageref.Reference) digest.Digest {
	running, err := usage.Resolved(ctx, v.reader, v.scope, owner, ref)
	if err != nil {
		return ""
	}
	return running
}

// history is what a tag was, the newest first, by the first CachedImage of it that tells.
func (v *View) history(ctx context.Context, ref imageref.Reference) []v1alpha1.Revision {
	images, err := usage.CachedImages(ctx, v.reader, ref)
	if err != nil {
		return nil
	}
	for i := range images {
		if len(images[i].Status.History) > 0 {
			return images[i].Status.History
		}
	}
	return nil
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

// Package refresh has images checked at their origin by the annotation that asks the registry for it. Any replica of the controller may do
// so: the objects are all that passes on. It never looks at an origin itself.
package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

// Refresher annotates CachedImages.
type Refresher struct {
	client client.Client
	now    func() time.Time
}

// New returns a refresher. The client's cache is indexed by usage.IndexImages and usage.IndexRepositories.
func New(c client.Client) *Refresher { return &Refresher{client: c, now: time.Now} }

// Refresh asks for a check of the CachedImages of a tag, by its own name and by the names of the Repositories that come from there
// (spec.origin, spec.fallbackOrigins), and says how many that are. Why is a word that the annotation begins with.
func (r *Refresher) Refresh(ctx context.Context, ref imageref.Reference, why string) (images int, err error) {
	names, err := r.names(ctx, ref.Repository)
	if err != nil {
		return 0, err
	}
	value := why + " " + r.now().UTC().Format(time.RFC3339Nano)
	var errs []error
	for _, repo := range names {
		found, err := usage.CachedImages(ctx, r.client, imageref.Reference{Repository: repo, Tag: ref.Tag})
		errs = append(errs, err)
		for i := range found {
			if !wanted(&found[i]) {
				continue
			}
			errs = append(errs, client.IgnoreNotFound(r.annotate(ctx, &found[i], value)))
			images++
		}
	}
	return images, errors.Join(errs...)
}

// names are the repositories in whose images a repository's are found.
func (r *Refresher) names(ctx context.Context, pushed imageref.Repository) ([]imageref.Repository, error) {
	names := []imageref.Repository{pushed}
	var list v1alpha1.RepositoryList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Repositories: %w", err)
	}
	for i := range list.Items {
		spec := &list.Items[i].Spec
		own, err := imageref.ParseRepository(spec.Name)
		if err == nil && own != pushed && comesFrom(spec, pushed) {
			names = append(names, own)
		}
	}
	return names, nil
}

func comesFrom(spec *v1alpha1.RepositorySpec, pushed imageref.Repository) bool {
	for _, text := range append([]string{spec.Origin}, spec.FallbackOrigins...) {
		if origin, err := imageref.ParseRepository(text); err == nil && origin == pushed {
			return true
		}
	}
	return false
}

// wanted leaves out what is going, and what was evicted: a check would bring that in again, although nobody uses it.
func wanted(image *v1alpha1.CachedImage) bool {
	ready := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionReady)
	return image.DeletionTimestamp.IsZero() && (ready == nil || ready.Reason != v1alpha1.ReasonEvicted)
}

func (r *Refresher) annotate(ctx context.Context, image *v1alpha1.CachedImage, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRefresh: value}}})
	if err != nil {
		return err
	}
	object := &v1alpha1.CachedImage{}
	object.Name = image.Name
	if err := r.client.Patch(ctx, object, client.RawPatch("application/merge-patch+json", patch), status.Controller); err != nil {
		return fmt.Errorf("asking for a check of CachedImage %s: %w", image.Name, err)
	}
	return nil
}

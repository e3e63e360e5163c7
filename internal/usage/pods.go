package usage

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
)

// The fields by which a client's cache finds objects once Index functions have prepared it.
const (
	FieldImage      = "larder.dev/image"      // full form of a reference that an active pod, a template or a CachedImage names
	FieldRepository = "larder.dev/repository" // full form of a repository of which an active pod, a CachedImage or a Repository is
)

// IndexPods makes a cache find active pods by the images they use, and by the repositories of these.
func IndexPods(ctx context.Context, indexer client.FieldIndexer, scope Scope) error {
	refs := func(object client.Object) []imageref.Reference {
		if pod, ok := object.(*corev1.Pod); ok && Active(pod) {
			return scope.Pod(pod)
		}
		return nil
	}
	images := func(object client.Object) []string { return fullForms(refs(object)) }
	if err := indexer.IndexField(ctx, &corev1.Pod{}, FieldImage, images); err != nil {
		return fmt.Errorf("indexing pods by image: %w", err)
	}
	repositories := func(object client.Object) (keys []string) {
		for _, ref := range refs(object) {
			keys = append(keys, ref.Repository.String())
		}
		return slices.Compact(keys)
	}
	if err := indexer.IndexField(ctx, &corev1.Pod{}, FieldRepository, repositories); err != nil {
		return fmt.Errorf("indexing pods by repository: %w", err)
	}
	if err := indexer.IndexField(ctx, &corev1.Pod{}, FieldOwner, ownerKeys(scope)); err != nil {
		return fmt.Errorf("indexing pods by owner: %w", err)
	}
	return nil
}

// PodsUsing lists the active pods that use an image, from a cache that IndexPods prepared.
func PodsUsing(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.MatchingFields{FieldImage: ref.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the pods that use %s: %w", ref, err)
	}
	return pods.Items, nil
}

// PodsOf lists the active pods that use an image of a repository, from a cache that IndexPods prepared.
func PodsOf(ctx context.Context, reader client.Reader, repo imageref.Repository) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.MatchingFields{FieldRepository: repo.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the pods that use %s: %w", repo, err)
	}
	return pods.Items, nil
}

// Used says whether an active pod uses an image, by a cache that IndexPods prepared. However many do, it costs the same.
func Used(ctx context.Context, reader client.Reader, ref imageref.Reference) (bool, error) {
	var pods corev1.PodList
	err := reader.List(ctx, &pods, client.MatchingFields{FieldImage: ref.String()}, client.Limit(1), client.UnsafeDisableDeepCopy)
	if err != nil {
		return false, fmt.Errorf("looking for a pod that uses %s: %w", ref, err)
	}
	return len(pods.Items) > 0, nil
}

func fullForms(refs []imageref.Reference) []string {
	keys := make([]string, 0, len(refs))
	for _, ref := range refs {
		keys = append(keys, ref.String())
	}
	return keys
}

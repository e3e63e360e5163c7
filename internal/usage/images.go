package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// IndexImages makes a cache find CachedImages by the full form of their spec.sourceImage (FieldImage) and of its repository
// (FieldRepository), however a person wrote them.
func IndexImages(ctx context.Context, indexer client.FieldIndexer) error {
	by := func(key func(imageref.Reference) string) client.IndexerFunc {
		return func(object client.Object) []string {
			image, ok := object.(*v1alpha1.CachedImage)
			if !ok {
				return nil
			}
			ref, err := imageref.Parse(image.Spec.SourceImage)
			if err != nil {
				return nil
			}
			return []string{key(ref)}
		}
	}
	if err := indexer.IndexField(ctx, &v1alpha1.CachedImage{}, FieldImage, by(imageref.Reference.String)); err != nil {
		return fmt.Errorf("indexing CachedImages by image: %w", err)
	}
	repository := func(ref imageref.Reference) string { return ref.Repository.String() }
	if err := indexer.IndexField(ctx, &v1alpha1.CachedImage{}, FieldRepository, by(repository)); err != nil {
		return fmt.Errorf("indexing CachedImages by repository: %w", err)
	}
	return nil
}

// IndexRepositories makes a cache find Repositories by the full form of their spec.name (FieldRepository).
func IndexRepositories(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Repository{}, FieldRepository, func(object client.Object) []string {
		repository, ok := object.(*v1alpha1.Repository)
		if !ok {
			return nil
		}
		repo, err := imageref.ParseRepository(repository.Spec.Name)
		if err != nil {
			return nil
		}
		return []string{repo.String()}
	})
	if err != nil {
		return fmt.Errorf("indexing Repositories by name: %w", err)
	}
	return nil
}

// CachedImages lists the CachedImages of an image, by name, from a cache that IndexImages prepared.
func CachedImages(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]v1alpha1.CachedImage, error) {
	return images(ctx, reader, FieldImage, ref.String())
}

// CachedImagesOf lists the CachedImages of a repository, by name, from a cache that IndexImages prepared.
func CachedImagesOf(ctx context.Context, reader client.Reader, repo imageref.Repository) ([]v1alpha1.CachedImage, error) {
	return images(ctx, reader, FieldRepository, repo.String())
}

func images(ctx context.Context, reader client.Reader, field, value string) ([]v1alpha1.CachedImage, error) {
	var list v1alpha1.CachedImageList
	if err := reader.List(ctx, &list, client.MatchingFields{field: value}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the CachedImages of %s: %w", value, err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.CachedImage) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// Repositories lists the Repositories of a repository, the oldest first, those of one age by name: the order in which they come into
// force. The cache is one that IndexRepositories prepared.
func Repositories(ctx context.Context, reader client.Reader, repo imageref.Repository) ([]v1alpha1.Repository, error) {
	var list v1alpha1.RepositoryList
	err := reader.List(ctx, &list, client.MatchingFields{FieldRepository: repo.String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the Repositories of %s: %w", repo, err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Repository) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list.Items, nil
}

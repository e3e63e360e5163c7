package usage

import (
	"context"
	"fmt"

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

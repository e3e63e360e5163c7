package store

import (
	"context"
	"errors"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// copyStore copies what a backup takes: the blobs first, so that nothing names one that the copy lacks.
func copyStore(t *testing.T, from, to *Store) {
	t.Helper()
	for _, root := range []string{blobsRoot, repositoriesRoot, secretsRoot} {
		err := from.driver.Walk(t.Context(), root, func(info storagedriver.FileInfo) error {
			if info.IsDir() {
				return nil
			}
			return copyFile(t.Context(), from, to, info.Path())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(ctx context.Context, from, to *Store, path string) error {
	content, err := from.driver.GetContent(ctx, path)
	return errors.Join(err, to.driver.PutContent(ctx, path, content))
}

// TestStore_ACopyIsTheSameStore takes a store from a folder to a bucket and back, file by file, as any tool that copies does.
func TestStore_ACopyIsTheSameStore(t *testing.T) {
	t.Parallel()
	folder, _ := openStore(t, Options{})
	img := putImage(t, folder, nginx, nil, "config", "layer")
	rec := TagRecord{Digest: img.desc.Digest, MediaType: img.desc.MediaType, Size: img.desc.Size, Complete: img.desc.Digest}
	putTag(t, folder, nginx, "1", rec)
	secret, err := folder.Secret(t.Context(), "key")
	wantNone(t, err)

	bucket, _ := openStore(t, Options{Driver: "s3", Parameters: bucketOf(t)})
	another, _ := openStore(t, Options{})
	copyStore(t, folder, bucket)
	copyStore(t, bucket, another)
	for _, s := range []*Store{bucket, another} {
		wantImage(t, s, nginx, img, true)
		got, err := s.Tag(t.Context(), nginx, "1")
		wantNone(t, err)
		wantEqual(t, got, rec)
		kept, err := s.Secret(t.Context(), "key")
		wantNone(t, err)
		wantEqual(t, kept, secret)
	}
}

package store

import (
	"context"
	"errors"
	"path"
)

// Usage is how many bytes the stored blobs have. It looks at each of them.
func (s *Store) Usage(ctx context.Context) (used int64, err error) {
	for _, algorithm := range algorithms {
		root := path.Join(blobsRoot, algorithm.String())
		folders, err := s.folders(ctx, root)
		if err != nil {
			return 0, err
		}
		for _, folder := range folders {
			blobs, err := s.digests(ctx, path.Join(root, folder), algorithm)
			if err != nil {
				return 0, err
			}
			for _, dgst := range blobs {
				state, err := s.state(ctx, dgst)
				if err != nil && !errors.Is(err, ErrNotFound) {
					return 0, err
				}
				used += state.size
			}
		}
	}
	return used, nil
}

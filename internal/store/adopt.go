package store

import (
	"context"
	"errors"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// kube-image-keeper's registry has the repositories of a registry with a port under another name than Larder gives them:
// reg.example-5000/app. They are read there, and written under Larder's own name.

// keeperPath returns the folder of repo in kube-image-keeper's spelling, if that is another one.
func keeperPath(repo imageref.Repository) (string, bool) {
	port := strings.LastIndexByte(repo.Host, ':')
	if port < 0 || strings.HasPrefix(repo.Host, "[") {
		return "", false
	}
	return repositoriesRoot + "/" + keeperName(repo, port), true
}

func keeperName(repo imageref.Repository, port int) string {
	return repo.Host[:port] + "-" + repo.Host[port+1:] + "/" + repo.Path
}

// isKeepers says whether a repository's folder has kube-image-keeper's spelling.
func isKeepers(name string, repo imageref.Repository) bool {
	port := strings.LastIndexByte(repo.Host, ':')
	return port >= 0 && name == keeperName(repo, port)
}

// foreignTag reads what another registry wrote of a tag.
func (s *Store) foreignTag(ctx context.Context, repo imageref.Repository, tag string, paths tagPaths) (TagRecord, error) {
	rec, err := s.readForeignTag(ctx, paths.current)
	if root, ok := keeperPath(repo); ok && errors.Is(err, ErrNotFound) {
		return s.readForeignTag(ctx, tagLink(root, tag))
	}
	return rec, err
}

// keeperNames says whether kube-image-keeper's link of a tag is there. Without a tombstone it would be a tag again.
func (s *Store) keeperNames(ctx context.Context, repo imageref.Repository, tag string) (bool, error) {
	root, ok := keeperPath(repo)
	if !ok {
		return false, nil
	}
	return s.exists(ctx, tagLink(root, tag))
}

// foreignLink reads what another registry wrote of a link.
func (s *Store) foreignLink(ctx context.Context, key linkKey, link string) (linkRecord, error) {
	rec, err := s.readForeignLink(ctx, link, key.digest)
	if root, ok := keeperPath(key.repository); ok && errors.Is(err, ErrNotFound) {
		return s.readForeignLink(ctx, linkPath(root, key.kind, key.digest), key.digest)
	}
	return rec, err
}

// roots are the folders in which a repository may be.
func roots(repo imageref.Repository) ([]string, error) {
	root, err := repositoryPath(repo)
	if err != nil {
		return nil, err
	}
	if keepers, ok := keeperPath(repo); ok {
		return []string{root, keepers}, nil
	}
	return []string{root}, nil
}

// once returns fn that is called for each digest only the first time.
func once(fn func(digest.Digest) error) func(digest.Digest) error {
	seen := map[digest.Digest]bool{}
	return func(dgst digest.Digest) error {
		if seen[dgst] {
			return nil
		}
		seen[dgst] = true
		return fn(dgst)
	}
}

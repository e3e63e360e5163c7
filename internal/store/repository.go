package store

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
)

// Repositories calls fn for each repository in the store until fn returns an error. Names that another registry wrote and
// that stand for no origin are skipped. One that kube-image-keeper's registry wrote under its own spelling of a port comes once more
// when Larder has written into it.
func (s *Store) Repositories(ctx context.Context, fn func(imageref.Repository) error) error {
	return s.walk(ctx, "", func(name string) error { return visit(name, fn) })
}

// walk visits a folder of repositories, which may itself be one, and holds no more than the names of one path in memory.
func (s *Store) walk(ctx context.Context, name string, fn func(name string) error) error {
	names, err := s.folders(ctx, path.Join(repositoriesRoot, name))
	if err != nil {
		return fmt.Errorf("listing repositories: %w", err)
	}
	visited := false
	for _, below := range names {
		if !strings.HasPrefix(below, "_") {
			err = s.walk(ctx, path.Join(name, below), fn)
		} else if !visited {
			visited = true
			err = fn(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folders lists a folder. A file, which has no place there, is an empty one.
func (s *Store) folders(ctx context.Context, folder string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names, err := s.list(ctx, folder)
	if err == nil {
		return names, nil
	}
	if info, statErr := s.driver.Stat(ctx, folder); statErr == nil && !info.IsDir() {
		return nil, nil
	}
	return nil, err
}

func visit(name string, fn func(imageref.Repository) error) error {
	if repo, ok := ours(name); ok {
		return fn(repo)
	}
	if repo, err := imageref.ParsePath(name); err == nil && isKeepers(name, repo) {
		return fn(repo)
	}
	return nil
}

// ours returns the repository of a folder; not ok where it is another registry's: no name that Larder gives.
func ours(name string) (imageref.Repository, bool) {
	repo, err := imageref.ParsePath(name)
	return repo, err == nil && repo.Encode() == name
}

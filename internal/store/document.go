package store

import (
	"context"
	"fmt"

	"github.com/larder-dev/larder/internal/imageref"
)

// Document reads a small document of repo (a tags list, a referrers list) that PutDocument wrote, or ErrNotFound.
func (s *Store) Document(ctx context.Context, repo imageref.Repository, name string) ([]byte, error) {
	path, err := documentPath(repo, name)
	if err == nil {
		var content []byte
		if content, err = s.read(ctx, path); err == nil {
			return content, nil
		}
	}
	return nil, fmt.Errorf("reading document %s of %s: %w", name, repo, err)
}

// PutDocument writes a document durably. name is one or more path components of [a-z0-9._-].
func (s *Store) PutDocument(ctx context.Context, repo imageref.Repository, name string, content []byte) error {
	path, err := documentPath(repo, name)
	if err == nil {
		defer s.gate.pass(repo)()
		err = s.putDocument(ctx, path, content)
	}
	if err != nil {
		return fmt.Errorf("writing document %s of %s: %w", name, repo, err)
	}
	return nil
}

func (s *Store) putDocument(ctx context.Context, path string, content []byte) error {
	before, err := s.beforeWrite(ctx)
	if err != nil {
		return err
	}
	if err := s.writer.put(ctx, path, content); err != nil {
		return err
	}
	return s.heed(ctx, before, path)
}

// RemoveDocument removes a document; one that is not there is no error.
func (s *Store) RemoveDocument(ctx context.Context, repo imageref.Repository, name string) error {
	path, err := documentPath(repo, name)
	if err == nil {
		defer s.gate.pass(repo)()
		err = s.remove(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("removing document %s of %s: %w", name, repo, err)
	}
	return nil
}

package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

const (
	secretsRoot = "/larder/secrets" // keys that are the store's own
	secretSize  = 32                // bytes
)

// Secret returns the store's random key of a name, 32 bytes, and makes it where there is none. On a disk nobody but the owner of the
// process may read its file. Replicas that make one at the same moment may each hold another until they ask again: the last written counts.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	place := path.Join(secretsRoot, name)
	key, err := s.read(ctx, place)
	if err == nil && len(key) == secretSize {
		return key, nil
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		key = make([]byte, secretSize)
		_, _ = rand.Read(key) // never fails
		err = s.putSecret(ctx, place, key)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the store's key %s: %w", name, err)
	}
	return key, nil
}

func (s *Store) putSecret(ctx context.Context, place string, content []byte) error {
	if d, ok := s.writer.(*disk); ok {
		return d.putSecret(ctx, place, content)
	}
	return s.writer.put(ctx, place, content)
}

// putSecret is put for what others must not read.
func (d *disk) putSecret(ctx context.Context, dest string, content []byte) error {
	if err := d.ensure(filepath.Join(d.root, spoolRoot)); err != nil {
		return err
	}
	temporary := path.Join(spoolRoot, "put."+rand.Text())
	file := filepath.Join(d.root, temporary)
	err := writeSecret(file, content)
	if err == nil {
		err = d.move(ctx, temporary, dest)
	}
	if err != nil {
		_ = os.Remove(file)
	}
	return noRoom(err)
}

func writeSecret(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

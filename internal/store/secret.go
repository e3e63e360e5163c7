package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"
)

const (
	secretsRoot = "/larder/secrets" // keys that are the store's own
	secretSize  = 32                // bytes
	electSuffix = ".candidates"     // after the name of a key: the folder of those that were made for it

	// secretSettles is how long one that makes a key waits for others that make one at the same moment: longer than a small object takes to be
	// written, and than the second to which object storage tells times.
	secretSettles = 3 * time.Second
)

// Secret returns the store's random key of a name, 32 bytes, and makes it where there is none. On a disk nobody but the owner of the
// process may read its file. Replicas that make one at the same moment all get the same, some seconds later.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	place := path.Join(secretsRoot, name)
	key, err := s.read(ctx, place)
	if err == nil && len(key) == secretSize {
		return key, nil
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		key, err = s.makeSecret(ctx, place)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the store's key %s: %w", name, err)
	}
	return key, nil
}

func (s *Store) makeSecret(ctx context.Context, place string) ([]byte, error) {
	key := make([]byte, secretSize)
	_, _ = rand.Read(key) // never fails
	if s.shared {
		var err error
		if key, err = s.elect(ctx, place+electSuffix, key); err != nil {
			return nil, err
		}
	}
	return key, s.putSecret(ctx, place, key)
}

// elect returns the key that counts of those that replicas make at a time: the first by the storage's own clock. The storage cannot be asked
// to write only where nothing is. So each writes its own under a name of its own, and looks who was first once all others of that moment
// have written, too. Candidates stay: who comes late finds an earlier one there.
func (s *Store) elect(ctx context.Context, folder string, key []byte) ([]byte, error) {
	if err := s.writer.put(ctx, path.Join(folder, rand.Text()), key); err != nil {
		return nil, err
	}
	select {
	case <-time.After(secretSettles):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	first, err := s.first(ctx, folder)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, first)
}

// first returns the path of the file in a folder that was written first; of several, the first by name.
func (s *Store) first(ctx context.Context, folder string) (file string, err error) {
	names, err := s.list(ctx, folder)
	if err != nil {
		return "", err
	}
	var at time.Time
	for _, name := range names {
		candidate := path.Join(folder, name)
		info, err := s.driver.Stat(ctx, candidate)
		if err != nil {
			return "", fromDriver(err)
		}
		if file == "" || info.ModTime().Before(at) {
			file, at = candidate, info.ModTime()
		}
	}
	return file, nil
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

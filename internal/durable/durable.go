// Package durable writes files so that a power cut leaves all of the new content, or what was there before. It knows nothing of what they hold.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace gives a file its content, for its owner's eyes alone. One process writes a path at a time.
func Replace(path string, content []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

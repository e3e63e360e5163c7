package owner

import (
	"fmt"
	"os"

	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/store"
)

// lock takes the data folder and, where the images lie in another folder, that one too: two processes with
// data folders of their own must not share it.
func (w *Owner) lock(o Options) error {
	if err := w.take(o.Data); err != nil {
		return err
	}
	root := storageRoot(o.Storage)
	if root == "" {
		return nil
	}
	if err := os.MkdirAll(root, 0o750); err != nil {
		return fmt.Errorf("making the storage's root directory: %w", err)
	}
	if same, err := sameFolder(o.Data, root); same || err != nil {
		return err
	}
	return w.take(root)
}

func (w *Owner) take(folder string) error {
	lock, err := store.Lock(folder)
	if err != nil {
		return err
	}
	w.release = append(w.release, lock.Release)
	return nil
}

// storageRoot returns the folder of a filesystem driver that was told one; else it is empty.
func storageRoot(storage serve.Storage) string {
	if storage.Driver != "" && storage.Driver != "filesystem" {
		return ""
	}
	root, _ := storage.Parameters["rootdirectory"].(string)
	return root
}

func sameFolder(a, b string) (bool, error) {
	infoA, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	infoB, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(infoA, infoB), nil
}

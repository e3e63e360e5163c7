package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	lru "github.com/hashicorp/golang-lru/v2"
)

// syncedEntries bounds how many folders are remembered as durable; a forgotten one costs a sync, nothing else.
const syncedEntries = 16 << 10

// disk writes to a local folder. For a new file it costs: a sync of the file, one of its folder, and, the first time that
// this process writes into that folder, one of each folder above. The last must not be saved where the folder exists
// already: whoever made it, another goroutine or a process that was killed, may not have come to its own sync.
type disk struct {
	driver  storagedriver.StorageDriver
	root    string
	synced  *lru.Cache[string, struct{}] // folders that are durable in the folder above them, and files settled
	mkdir   func(string, fs.FileMode) error
	syncDir func(string) error
}

func newDisk(driver storagedriver.StorageDriver, root string) (*disk, error) {
	synced, err := lru.New[string, struct{}](syncedEntries)
	if err != nil {
		return nil, err
	}
	return &disk{driver: driver, root: root, synced: synced, mkdir: os.Mkdir, syncDir: syncDir}, nil
}

// put writes through the spool rather than by the driver's PutContent, whose temporary files stay beside the target
// after a crash, where only a walk of the whole store would find them.
func (d *disk) put(ctx context.Context, dest string, content []byte) error {
	temporary := path.Join(spoolRoot, "put."+rand.Text())
	if err := d.ensure(filepath.Join(d.root, spoolRoot)); err != nil {
		return err
	}
	if err := d.write(ctx, temporary, content); err != nil {
		return noRoom(err)
	}
	if err := d.move(ctx, temporary, dest); err != nil {
		_ = os.Remove(filepath.Join(d.root, temporary))
		return err
	}
	return nil
}

// write writes and syncs a file.
func (d *disk) write(ctx context.Context, dest string, content []byte) error {
	w, err := d.driver.Writer(ctx, dest, false)
	if err != nil {
		return fromDriver(err)
	}
	if _, err = w.Write(content); err == nil {
		err = w.Commit(ctx)
	}
	if err != nil {
		return errors.Join(err, w.Cancel(ctx))
	}
	return w.Close()
}

func (d *disk) begin(file, dest string) placement {
	return rename{d, path.Join(spoolRoot, filepath.Base(file)), dest}
}

// rename is the placement of a file that is on the right disk already.
type rename struct {
	disk         *disk
	source, dest string
}

func (rename) grown(int64) {}
func (rename) discard()    {}

func (r rename) place(ctx context.Context) error { return r.disk.move(ctx, r.source, r.dest) }

// move renames a synced file of the spool durably.
func (d *disk) move(ctx context.Context, source, dest string) error {
	folder := filepath.Dir(filepath.Join(d.root, dest))
	if err := d.ensure(folder); err != nil {
		return err
	}
	if err := d.driver.Move(ctx, source, dest); err != nil {
		return fmt.Errorf("moving %s: %w", dest, fromDriver(err))
	}
	return d.syncDir(folder)
}

// settle costs nothing but the first time for a folder.
func (d *disk) settle(dest string) error {
	folder := filepath.Dir(filepath.Join(d.root, dest))
	key := folder + "/"
	if d.synced.Contains(key) {
		return nil
	}
	if err := d.ensure(folder); err != nil {
		return err
	}
	if err := d.syncDir(folder); err != nil {
		return err
	}
	d.synced.Add(key, struct{}{})
	return nil
}

// ensure makes a folder below the root and those above it, durably.
func (d *disk) ensure(folder string) error {
	if folder == d.root || d.synced.Contains(folder) && isDir(folder) {
		return nil
	}
	above := filepath.Dir(folder)
	if err := d.ensure(above); err != nil {
		return err
	}
	// Forgotten first: a folder that was removed by hand and is made again here is not durable until the sync below.
	d.synced.Remove(folder)
	if err := d.mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return noRoom(err)
	}
	if err := d.syncDir(above); err != nil {
		return err
	}
	d.synced.Add(folder, struct{}{})
	return nil
}

// makeRoot makes the root where it is missing. What existed before is taken for durable.
func (d *disk) makeRoot(dir string) error {
	if isDir(dir) {
		return nil
	}
	above := filepath.Dir(dir)
	if err := d.makeRoot(above); err != nil {
		return err
	}
	// Private images must not be readable for every user of a shared machine.
	if err := d.mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(above)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("syncing a folder: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("syncing a folder: %w", noRoom(err))
	}
	return nil
}

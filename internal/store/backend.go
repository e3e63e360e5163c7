package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"

	// The driver for a local folder; the application imports those for object storage that it offers.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

const (
	filesystemDriver = "filesystem"
	s3Driver         = "s3aws"
	inmemoryDriver   = "inmemory"

	localLinkTTL  = time.Minute     // one process owns the store: only a hand can change a link behind its back
	sharedLinkTTL = 5 * time.Second // other replicas write too
)

// ErrSettings is returned by Open for settings that the storage driver refuses. Some only the driver knows: a region that does not
// exist, for one.
var ErrSettings = errors.New("storage settings")

// writer puts content in its place so that a reader sees all of it or nothing, and a power cut after the call undoes nothing.
type writer interface {
	// put writes a small file.
	put(ctx context.Context, path string, content []byte) error
	// begin prepares to make a local file that is being written the content of path.
	begin(file, path string) placement
	// settle makes a file durable that was found in its place.
	settle(path string) error
}

// placement brings one local file to its place.
type placement interface {
	// grown says that the file has so many bytes now. It does not wait.
	grown(written int64)
	// place is called when the file is finished, and synced where it stays on the disk. The file is gone then.
	place(ctx context.Context) error
	// discard undoes what was not placed. It may be called again, and after place.
	discard()
}

// backend is a driver with the ways of writing that suit it.
type backend struct {
	driver   storagedriver.StorageDriver
	writer   writer
	spoolDir string
	linkTTL  time.Duration
}

func openBackend(ctx context.Context, o Options) (backend, error) {
	if o.Data == "" {
		return backend{}, errors.New("no data folder is given")
	}
	if o.Driver == "" || o.Driver == filesystemDriver {
		return openDisk(ctx, o)
	}
	driver, err := factory.Create(ctx, o.Driver, maps.Clone(o.Parameters))
	if err != nil {
		return backend{}, fmt.Errorf("%w: creating the %s driver: %w", ErrSettings, o.Driver, err)
	}
	ttl := sharedLinkTTL
	if o.Exclusive {
		ttl = localLinkTTL
	}
	return backend{driver, newObjects(driver, o.Log), filepath.Join(o.Data, "spool"), ttl}, nil
}

// openDisk puts the spool inside the driver's root, wherever the data folder is: a rename must not leave the file system.
func openDisk(ctx context.Context, o Options) (backend, error) {
	root, err := filepath.Abs(diskRoot(o))
	if err != nil {
		return backend{}, fmt.Errorf("finding the store's folder: %w", err)
	}
	parameters := map[string]any{}
	maps.Copy(parameters, o.Parameters)
	parameters["rootdirectory"] = root
	driver, err := factory.Create(ctx, filesystemDriver, parameters)
	if err != nil {
		return backend{}, fmt.Errorf("%w: creating the %s driver: %w", ErrSettings, filesystemDriver, err)
	}
	disk, err := newDisk(driver, root)
	if err != nil {
		return backend{}, err
	}
	if !o.ReadOnly {
		if err := disk.makeRoot(root); err != nil && !cannotWrite(err) {
			return backend{}, fmt.Errorf("creating the store's folder: %w", err)
		}
	}
	return backend{driver, disk, filepath.Join(root, spoolRoot), localLinkTTL}, nil
}

func diskRoot(o Options) string {
	if root, ok := o.Parameters["rootdirectory"]; ok && root != "" {
		return fmt.Sprint(root)
	}
	return o.Data
}

// fromDriver turns a driver's error, which hides its cause, into one that errors.Is can look into.
func fromDriver(err error) error {
	if wrapped, ok := errors.AsType[storagedriver.Error](err); ok {
		err = wrapped.Detail
	}
	if _, ok := errors.AsType[storagedriver.PathNotFoundError](err); ok || isMissing(err) {
		return ErrNotFound
	}
	return noRoom(err)
}

// isMissing says whether a file is not there; a file in place of one of its folders means the same.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
}

// noRoom marks the errors of a full disk or quota with ErrNoRoom.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// cannotWrite says whether err is that of a disk that can only be read for now.
func cannotWrite(err error) bool {
	return errors.Is(noRoom(err), ErrNoRoom) || errors.Is(err, syscall.EROFS)
}

// read returns a small file whole.
func (s *Store) read(ctx context.Context, path string) ([]byte, error) {
	content, err := s.driver.GetContent(ctx, path)
	if err != nil {
		return nil, fromDriver(err)
	}
	return content, nil
}

// exists says whether there is a file at path.
func (s *Store) exists(ctx context.Context, path string) (bool, error) {
	info, err := s.driver.Stat(ctx, path)
	if err = fromDriver(err); errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !info.IsDir(), err
}

// list returns the names in a folder, sorted; none where there is no folder.
func (s *Store) list(ctx context.Context, folder string) ([]string, error) {
	names, err := s.driver.List(ctx, folder)
	if err = fromDriver(err); errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	for i, name := range names {
		names[i] = path.Base(name)
	}
	slices.Sort(names)
	return names, err
}

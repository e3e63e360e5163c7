package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/go-logr/logr"
)

// staleUpload is the age from which a temporary key cannot belong to an upload that still runs on some replica.
const staleUpload = 24 * time.Hour

// objects writes to object storage, where an object appears whole or not at all, and durably.
type objects struct {
	driver storagedriver.StorageDriver
	log    logr.Logger
	// final says that an object which is being written cannot be seen under its key: S3 shows it when the upload is
	// completed. Elsewhere it is written under a temporary key and moved.
	final bool
	clean sync.Once
}

func newObjects(driver storagedriver.StorageDriver, log logr.Logger) *objects {
	return &objects{driver: driver, log: log, final: driver.Name() == s3Driver}
}

func (o *objects) put(ctx context.Context, dest string, content []byte) error {
	return fromDriver(o.driver.PutContent(ctx, dest, content))
}

func (o *objects) settle(string) error { return nil }

// writer opens an object for writing.
func (o *objects) writer(ctx context.Context, key string) (storagedriver.FileWriter, error) {
	if !o.final {
		o.clean.Do(func() { o.removeStale(ctx) })
	}
	return o.driver.Writer(ctx, key, false)
}

// discard removes a temporary key also where ctx has ended.
func (o *objects) discard(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	if err := fromDriver(o.driver.Delete(ctx, key)); err != nil && !errors.Is(err, ErrNotFound) {
		o.log.Error(err, "temporary upload not removed", "key", key)
	}
}

// removeStale removes temporary keys that crashed processes left, once a process and before its first upload.
func (o *objects) removeStale(ctx context.Context) {
	keys, err := o.driver.List(ctx, uploadsRoot)
	if err != nil {
		return
	}
	for _, key := range keys {
		info, err := o.driver.Stat(ctx, key)
		if err == nil && time.Since(info.ModTime()) > staleUpload {
			o.discard(ctx, key)
		}
	}
}

// interruptible ends a copy when ctx ends, whatever the driver makes of it.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"
)

// staleUpload is the age from which a temporary key cannot belong to an upload that still runs on some replica.
const staleUpload = 24 * time.Hour

// How many uploads there are at a time, each with a part of the driver's chunksize in memory, or a small blob whole (P2). Those that go on while
// their origin sends must not keep those waiting that are all here: these have places of their own, and move as fast as the storage does.
const (
	uploadsArriving = 8
	uploadsWhole    = 4
)

// objects writes to object storage, where an object appears whole or not at all, and durably.
type objects struct {
	driver storagedriver.StorageDriver
	log    logr.Logger
	// final says that an object which is being written cannot be seen under its key: S3 shows it when the upload is
	// completed. Elsewhere it is written under a temporary key and moved.
	final    bool
	clean    sync.Once
	left     []digest.Digest // that an earlier process on this data folder may have begun to upload
	arriving chan struct{}   // a token for each upload of a blob that still arrives
	whole    chan struct{}   // and of one that has arrived
}

func newObjects(driver storagedriver.StorageDriver, log logr.Logger) *objects {
	return &objects{
		driver: driver, log: log, final: driver.Name() == s3Driver,
		arriving: make(chan struct{}, uploadsArriving), whole: make(chan struct{}, uploadsWhole),
	}
}

func (o *objects) put(ctx context.Context, dest string, content []byte) error {
	return fromDriver(o.driver.PutContent(ctx, dest, content))
}

func (o *objects) settle(string) error { return nil }

// writer opens an object for writing.
func (o *objects) writer(ctx context.Context, key string) (storagedriver.FileWriter, error) {
	if o.final {
		o.clean.Do(func() { o.abortLeft(ctx) })
	} else {
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

// abortLeft aborts the unfinished uploads of a process that was killed, once and before the first upload: they are not to be seen, and paid
// for. The oldest of a key goes: should it be another replica's, that one's blob is uploaded again by the next who asks for it.
func (o *objects) abortLeft(ctx context.Context) {
	for _, dgst := range o.left {
		w, err := o.driver.Writer(ctx, blobPath(dgst), true)
		if err != nil {
			continue // there is none
		}
		if err := w.Cancel(ctx); err != nil {
			o.log.Error(err, "an unfinished upload is not aborted", "digest", dgst)
		}
		_ = w.Close() // after Cancel its error means nothing
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

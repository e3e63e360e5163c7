package store

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/go-logr/logr"
)

// bucket is object storage in memory under any driver's name, with faults.
type bucket struct {
	storagedriver.StorageDriver
	name     string
	moveErr  error
	writeErr error
	age      time.Duration // added to the age of each object

	mu      sync.Mutex
	written []string // keys that a Writer was asked for
	offsets []int64  // from which a Reader was asked for
}

func (b *bucket) Name() string { return b.name }

func (b *bucket) Writer(ctx context.Context, path string, appended bool) (storagedriver.FileWriter, error) {
	b.mu.Lock()
	b.written = append(b.written, path)
	b.mu.Unlock()
	if b.name != s3Driver {
		w, err := b.StorageDriver.Writer(ctx, path, appended)
		return &bucketWriter{FileWriter: w, err: b.writeErr}, err
	}
	// As a multipart upload: nothing is to be seen under the key before Commit.
	part := "/multipart/" + rand.Text()
	w, err := b.StorageDriver.Writer(ctx, part, appended)
	complete := func() error { return b.StorageDriver.Move(ctx, part, path) }
	return &bucketWriter{w, b.writeErr, complete}, err
}

func (b *bucket) PutContent(ctx context.Context, path string, content []byte) error {
	if b.writeErr != nil {
		return b.writeErr
	}
	return b.StorageDriver.PutContent(ctx, path, content)
}

func (b *bucket) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	b.mu.Lock()
	b.offsets = append(b.offsets, offset)
	b.mu.Unlock()
	return b.StorageDriver.Reader(ctx, path, offset)
}

func (b *bucket) Move(ctx context.Context, source, dest string) error {
	if b.moveErr != nil {
		return b.moveErr
	}
	return b.StorageDriver.Move(ctx, source, dest)
}

func (b *bucket) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	info, err := b.StorageDriver.Stat(ctx, path)
	if err != nil {
		return nil, err
	}
	return storagedriver.FileInfoInternal{FileInfoFields: storagedriver.FileInfoFields{
		Path: info.Path(), Size: info.Size(), ModTime: info.ModTime().Add(-b.age), IsDir: info.IsDir(),
	}}, nil
}

type bucketWriter struct {
	storagedriver.FileWriter
	err      error
	complete func() error // nil: Commit is all
}

func (w *bucketWriter) Commit(ctx context.Context) error {
	if err := w.FileWriter.Commit(ctx); err != nil || w.complete == nil {
		return err
	}
	return w.complete()
}

func (w *bucketWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.FileWriter.Write(p)
}

func openBucket(t *testing.T, b *bucket) *Store {
	t.Helper()
	b.StorageDriver = inmemory.New()
	s, err := newStore(backend{b, newObjects(b, logr.Discard()), t.TempDir(), sharedLinkTTL}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

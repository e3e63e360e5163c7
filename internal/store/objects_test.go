package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"
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

// TestStore_ObjectStorage is the conformance suite under the two ways of uploading.
func TestStore_ObjectStorage(t *testing.T) {
	t.Parallel()
	for _, name := range []string{s3Driver, "gcs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runSuite(t, func(t *testing.T) (*Store, *damages) {
				s, d := openBucket(t, &bucket{name: name}), &damages{}
				s.onDamage = d.add
				return s, d
			})
		})
	}
}

func TestObjects_KeyOfAnUpload(t *testing.T) {
	t.Parallel()
	dgst := digest.FromString("uploaded")
	for name, prefix := range map[string]string{s3Driver: blobPath(dgst), "gcs": uploadsRoot + "/", "azure": uploadsRoot + "/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bucket{name: name}
			s := openBucket(t, b)
			commit(t, s, []byte("uploaded"))
			if len(b.written) != 1 || !strings.HasPrefix(b.written[0], prefix) {
				t.Errorf("written to %q, want %s", b.written, prefix)
			}
			wantEqual(t, len(spoolFiles(t, s)), 0)
			left, err := s.list(t.Context(), uploadsRoot)
			wantNone(t, err)
			wantEqual(t, len(left), 0)
		})
	}
}

func TestObjects_FailedUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		b    *bucket
		want error
	}{
		{"The move fails", t.Context(), &bucket{name: "gcs", moveErr: broken}, broken},
		{"The upload fails", t.Context(), &bucket{name: "gcs", writeErr: broken}, broken},
		{"The upload to S3 fails", t.Context(), &bucket{name: s3Driver, writeErr: broken}, broken},
		{"The caller has gone", cancelled, &bucket{name: "gcs"}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openBucket(t, test.b)
			dgst := digest.FromString("failing")
			sp, err := s.NewSpool(dgst, 7)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sp.Write([]byte("failing")); err != nil {
				t.Fatal(err)
			}
			if err := sp.Commit(test.ctx); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			reader, err := sp.Open() // it serves still
			if err != nil {
				t.Fatal(err)
			}
			wantNone(t, reader.Close())
			sp.Discard()
			wantEqual(t, len(spoolFiles(t, s)), 0)
			_, err = s.StatBlob(t.Context(), dgst)
			wantMissing(t, err)
			left, err := s.list(t.Context(), uploadsRoot)
			wantNone(t, err)
			wantEqual(t, len(left), 0)
		})
	}
}

func TestObjects_RemovesStaleUploads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age  time.Duration
		left int
	}{
		"Another replica may still write it": {0, 1},
		"Nobody can still write it":          {staleUpload, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openBucket(t, &bucket{name: "gcs", age: test.age})
			wantNone(t, s.driver.PutContent(t.Context(), uploadsRoot+"/crashed", []byte("half")))
			commit(t, s, []byte("any"))
			left, err := s.list(t.Context(), uploadsRoot)
			wantNone(t, err)
			wantEqual(t, len(left), test.left)
		})
	}
}

func TestObjectReader_AsksForNoByteTwice(t *testing.T) {
	t.Parallel()
	b := &bucket{name: s3Driver}
	s := openBucket(t, b)
	dgst := commit(t, s, []byte("0123456789"))
	blob, err := s.OpenBlob(t.Context(), dgst, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	for _, seek := range []struct {
		offset int64
		whence int
		want   int64
	}{{0, io.SeekEnd, 10}, {0, io.SeekStart, 0}, {4, io.SeekCurrent, 4}} {
		at, err := blob.Seek(seek.offset, seek.whence)
		wantNone(t, err)
		wantEqual(t, at, seek.want)
	}
	if _, err := blob.Seek(-1, io.SeekStart); !errors.Is(err, errSeek) {
		t.Errorf("got error %v for a negative offset", err)
	}
	got, err := io.ReadAll(blob)
	wantNone(t, err)
	wantEqual(t, string(got), "456789")
	wantEqual(t, b.offsets, []int64{4})
}

func TestObjectReader_TellsATruncatedObject(t *testing.T) {
	t.Parallel()
	s := openBucket(t, &bucket{name: s3Driver})
	dgst := commit(t, s, []byte("0123456789"))
	blob, err := s.OpenBlob(t.Context(), dgst, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	wantNone(t, s.writer.put(t.Context(), blobPath(dgst), []byte("0123")))
	if _, err := io.ReadAll(blob); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want an unexpected end", err)
	}
}

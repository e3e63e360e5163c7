package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/tests/s3"
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
	for name, test := range map[string]struct {
		size int
		want string // what a Writer is asked for; empty: none
	}{
		s3Driver: {wholeUpload + 1, "/docker/registry/v2/blobs/"},
		"gcs":    {8, uploadsRoot + "/"},
		"azure":  {wholeUpload + 1, uploadsRoot + "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bucket{name: name}
			s := openBucket(t, b)
			commit(t, s, randomBytes(test.size))
			if len(b.written) != 1 || !strings.HasPrefix(b.written[0], test.want) {
				t.Errorf("written to %q, want %s", b.written, test.want)
			}
			wantEqual(t, len(spoolFiles(t, s)), 0)
			left, err := s.list(t.Context(), uploadsRoot)
			wantNone(t, err)
			wantEqual(t, len(left), 0)
		})
	}
}

// TestObjects_UploadsBesideTheDownload holds that chunks are on their way before the blob is whole, and that nothing of them can be seen.
func TestObjects_UploadsBesideTheDownload(t *testing.T) {
	t.Parallel()
	server := s3.Shared(t)
	meter := server.NewMeter(t)
	s, _ := openStore(t, Options{Driver: "s3", Parameters: s3.Parameters(meter.Endpoint, server.Bucket(t))})
	content := randomBytes(11 << 20)
	dgst := digest.FromBytes(content)
	sp, err := s.NewSpool(dgst, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	if _, err := sp.Write(content[:10<<20]); err != nil {
		t.Fatal(err)
	}
	meter.Await(t, "PART", 2)
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
	if _, err := sp.Write(content[10<<20:]); err != nil {
		t.Fatal(err)
	}
	meter.Take()
	wantNone(t, sp.Commit(t.Context()))
	wantEqual(t, meter.Take(), map[string]int{"PART": 1, "COMPLETE": 1, "GET": 1}) // the last: whether a sweep deletes it
}

// TestObjects_P2_UploadsAreBounded has more blobs arrive at a time than may be uploaded. Those that have no place are uploaded in the end.
func TestObjects_P2_UploadsAreBounded(t *testing.T) {
	t.Parallel()
	s := openBucket(t, &bucket{name: s3Driver, StorageDriver: inmemory.New()})
	o := s.writer.(*objects)
	var all []*Spool
	var want []digest.Digest
	for range 3 * uploadsArriving {
		content := randomBytes(wholeUpload + 1)
		want = append(want, digest.FromBytes(content))
		sp, err := s.NewSpool(digest.FromBytes(content), -1)
		wantNone(t, err)
		t.Cleanup(sp.Discard)
		_, err = sp.Write(content)
		wantNone(t, err)
		all = append(all, sp)
	}
	wantEqual(t, len(o.arriving), uploadsArriving)
	var commits sync.WaitGroup
	for _, sp := range slices.Backward(all) { // first those that wait
		commits.Go(func() {
			if err := sp.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	commits.Wait()
	for _, dgst := range want {
		_, err := s.StatBlob(t.Context(), dgst)
		wantNone(t, err)
	}
	wantEqual(t, len(o.arriving)+len(o.whole), 0)
}

// TestObjects_AnUploadThatAKilledProcessLeftIsAborted holds that it is not paid for until somebody looks.
func TestObjects_AnUploadThatAKilledProcessLeftIsAborted(t *testing.T) {
	t.Parallel()
	server := s3.Shared(t)
	meter := server.NewMeter(t)
	o := Options{Data: t.TempDir(), Driver: "s3", Parameters: s3.Parameters(meter.Endpoint, server.Bucket(t))}
	killed, _ := openStore(t, o)
	content := randomBytes(11 << 20)
	sp, err := killed.NewSpool(digest.FromBytes(content), int64(len(content)))
	wantNone(t, err)
	t.Cleanup(sp.Discard)
	_, err = sp.Write(content[:10<<20])
	wantNone(t, err)
	meter.Await(t, "PART", 2)

	s, _ := openStore(t, o)
	meter.Take()
	commit(t, s, randomBytes(5<<20))
	wantEqual(t, meter.Take()["ABORT"], 1)
	commit(t, s, content)
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

func TestObjects_OpensAtAnOffsetByOneRequest(t *testing.T) {
	t.Parallel()
	b, d := &bucket{name: s3Driver}, &damages{}
	s := openBucket(t, b)
	s.onDamage = d.add
	dgst := commit(t, s, []byte("0123456789"))
	blob, err := s.OpenBlobAt(t.Context(), dgst, 10, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(blob)
	wantNone(t, err)
	wantEqual(t, string(got), "456789")
	wantEqual(t, b.offsets, []int64{4})
	_, err = s.OpenBlobAt(t.Context(), digest.FromString("missing"), 10, 4)
	wantMissing(t, err)

	wantNone(t, s.writer.put(t.Context(), blobPath(dgst), []byte("0123")))
	short, err := s.OpenBlobAt(t.Context(), dgst, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if _, err := io.ReadAll(short); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want an unexpected end", err)
	}
	wantEqual(t, d.list(), []digest.Digest{dgst})
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
}

func TestSpool_B7_NoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	const limit = 2 * roomInterval
	s, _ := openStore(t, Options{Driver: "inmemory", MaxSpool: limit})
	first, err := s.NewSpool(digest.FromString("first"), limit-1)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Discard()
	dgst := digest.FromString("second")
	for name, size := range map[string]int64{"All that is left and more": 2, "More than there can be": limit + 1} {
		if _, err := s.NewSpool(dgst, size); !errors.Is(err, ErrNoRoom) {
			t.Errorf("%s: got error %v, want ErrNoRoom", name, err)
		}
	}
	first.Discard()
	unsized, err := s.NewSpool(dgst, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer unsized.Discard()
	for range limit / roomInterval {
		if _, err := unsized.Write(make([]byte, roomInterval)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := unsized.Write(make([]byte, roomInterval)); !errors.Is(err, ErrNoRoom) {
		t.Errorf("got error %v behind the limit, want ErrNoRoom", err)
	}
	unsized.Discard()
	wantEqual(t, s.spools.room.spooled, int64(0))
}

// TestTag_ObjectStorageIsAskedOnce holds what an unchanged check costs beside the record: nothing.
func TestTag_ObjectStorageIsAskedOnce(t *testing.T) {
	t.Parallel()
	server := s3.Shared(t)
	meter := server.NewMeter(t)
	s, _ := openStore(t, Options{Driver: "s3", Parameters: s3.Parameters(meter.Endpoint, server.Bucket(t))})
	desc, other := putManifest(t, s, nginx, "one"), putManifest(t, s, nginx, "two")
	rec := TagRecord{Digest: desc.Digest}
	wantNone(t, s.PutTag(t.Context(), nginx, "1", rec))
	for _, step := range []struct {
		name string
		rec  TagRecord
		want map[string]int
	}{
		{"Unchanged", rec, map[string]int{"PUT": 1}},
		{"Moved", TagRecord{Digest: other.Digest}, map[string]int{"GET": 1, "PUT": 3}},
		{"Unchanged since", TagRecord{Digest: other.Digest}, map[string]int{"PUT": 1}},
	} {
		meter.Take()
		wantNone(t, s.PutTag(t.Context(), nginx, "1", step.rec))
		if diff := cmp.Diff(step.want, meter.Take()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", step.name, diff)
		}
	}
}

package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/tests/s3"
	"github.com/opencontainers/go-digest"
)

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

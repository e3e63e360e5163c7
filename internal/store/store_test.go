package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	// The further drivers of the conformance suite.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/s3"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var nginx = imageref.Repository{Host: "docker.io", Path: "library/nginx"}

// damages collects what a store reports as damaged.
type damages struct {
	mu   sync.Mutex
	seen []digest.Digest
}

func (d *damages) add(dgst digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, dgst)
}

func (d *damages) list() []digest.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.seen)
}

func openStore(t testing.TB, o Options) (*Store, *damages) {
	t.Helper()
	d := &damages{}
	o.OnDamage = d.add
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// commit stores content as a blob.
func commit(t testing.TB, s *Store, content []byte) digest.Digest {
	t.Helper()
	dgst := digest.FromBytes(content)
	commitAs(t, s, dgst, content)
	return dgst
}

func commitAs(t testing.TB, s *Store, dgst digest.Digest, content []byte) {
	t.Helper()
	sp, err := s.NewSpool(dgst, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	if _, err := sp.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := sp.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// putManifest stores an OCI manifest that differs by its annotation.
func putManifest(t testing.TB, s *Store, repo imageref.Repository, note string) ocispec.Descriptor {
	t.Helper()
	desc, body := manifestOf(t, note)
	if err := s.PutManifest(t.Context(), repo, desc, body); err != nil {
		t.Fatal(err)
	}
	return desc
}

func manifestOf(t testing.TB, note string) (ocispec.Descriptor, []byte) {
	t.Helper()
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Annotations: map[string]string{"note": note}}
	manifest.SchemaVersion = 2
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}, body
}

func wantMissing(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
}

func wantNone(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func wantEqual(t testing.TB, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected difference (-want +got):\n%s", diff)
	}
}

// TestStore holds for every driver.
func TestStore(t *testing.T) {
	t.Parallel()
	for driver, parameters := range map[string]func(*testing.T) map[string]any{
		"filesystem": func(*testing.T) map[string]any { return nil },
		"inmemory":   func(*testing.T) map[string]any { return nil },
		"s3":         bucketOf,
	} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			runSuite(t, func(t *testing.T) (*Store, *damages) {
				return openStore(t, Options{Driver: driver, Parameters: parameters(t)})
			})
		})
	}
}

// bucketOf names a bucket on a real S3 server to the driver.
func bucketOf(t *testing.T) map[string]any {
	server := s3.Shared(t)
	return s3.Parameters(server.Endpoint, server.Bucket(t))
}

func runSuite(t *testing.T, newStore func(*testing.T) (*Store, *damages)) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Store, *damages)
	}{
		{"Commits a blob and reads it from any offset", testBlob},
		{"Commits an empty blob", testEmptyBlob},
		{"Commits a blob of several chunks", testLargeBlob},
		{"Shows nothing of a large blob that is discarded", testLargeDiscard},
		{"Commits a sha512 blob", testSHA512},
		{"Shows nothing of what is discarded", testDiscard},
		{"Refuses a short commit", testShortCommit},
		{"Finds a truncated blob at open", testB5Truncated},
		{"Keeps a blob whose size was stated falsely", testFalseSize},
		{"Misses a blob that was removed by hand", testM3Removed},
		{"Stores manifests", testManifest},
		{"Refuses wrong manifests", testWrongManifest},
		{"Removes a corrupted manifest", testCorruptedManifest},
		{"Links blobs", testLink},
		{"Repairs links that were removed by hand", testRepairLink},
		{"Reads the links of another registry", testForeignLinks},
		{"Records tags", testTag},
		{"Keeps a tombstone", testM4Tombstone},
		{"Records what was decided of pins", testPinDecision},
		{"Survives an unreadable record", testUnreadableRecord},
		{"Keeps documents", testDocument},
		{"Walks repositories", testRepositories},
		{"Refuses names that leave their folder", testNames},
		{"Serves concurrent writers", testConcurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStore(t)
			test.run(t, s, d)
		})
	}
}

func testBlob(t *testing.T, s *Store, d *damages) {
	content := randomBytes(100_000)
	dgst := digest.FromBytes(content)
	_, err := s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
	_, err = s.OpenBlob(t.Context(), dgst, -1)
	wantMissing(t, err)

	commit(t, s, content)
	size, err := s.StatBlob(t.Context(), dgst)
	if err != nil || size != int64(len(content)) {
		t.Fatalf("got size %d and error %v", size, err)
	}
	blob, err := s.OpenBlob(t.Context(), dgst, size)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	for _, offset := range []int64{0, 99_999, 5, 100_000} {
		if _, err := blob.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(blob)
		if err != nil || !bytes.Equal(got, content[offset:]) {
			t.Errorf("from %d: got %d bytes and error %v", offset, len(got), err)
		}
	}
	wantEqual(t, d.list(), []digest.Digest(nil))
}

func testEmptyBlob(t *testing.T, s *Store, _ *damages) {
	dgst := commit(t, s, nil)
	blob, err := s.OpenBlob(t.Context(), dgst, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(blob)
	wantNone(t, err)
	wantEqual(t, len(got), 0)
}

func testLargeBlob(t *testing.T, s *Store, _ *damages) {
	content := randomBytes(7 << 20) // a whole chunk and a part
	dgst := commit(t, s, content)
	blob, err := s.OpenBlob(t.Context(), dgst, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(blob)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes and error %v", len(got), err)
	}
}

func testLargeDiscard(t *testing.T, s *Store, _ *damages) {
	content := randomBytes(7 << 20)
	dgst := digest.FromBytes(content)
	sp, err := s.NewSpool(dgst, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write(content[:6<<20]); err != nil {
		t.Fatal(err)
	}
	sp.Discard()
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
	commit(t, s, content)
	_, err = s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
}

func testSHA512(t *testing.T, s *Store, _ *damages) {
	content := []byte("sha512")
	dgst := digest.SHA512.FromBytes(content)
	commitAs(t, s, dgst, content)
	wantNone(t, s.LinkBlob(t.Context(), nginx, ocispec.Descriptor{Digest: dgst, Size: 6}))
	wantNone(t, s.PutManifest(t.Context(), nginx, ocispec.Descriptor{Digest: dgst}, content))
	size, err := s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
	wantEqual(t, size, int64(6))
	var listed []digest.Digest
	wantNone(t, s.Manifests(t.Context(), nginx, func(d digest.Digest) error { listed = append(listed, d); return nil }))
	wantEqual(t, listed, []digest.Digest{dgst})
}

func testDiscard(t *testing.T, s *Store, _ *damages) {
	dgst := digest.FromString("discarded")
	sp, err := s.NewSpool(dgst, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write([]byte("discar")); err != nil {
		t.Fatal(err)
	}
	reader, err := sp.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sp.Discard()
	sp.Discard()
	_, err = sp.Open()
	wantMissing(t, err)
	if _, err := sp.Write([]byte("ded")); err == nil {
		t.Error("a discarded spool takes bytes")
	}
	if err := sp.Commit(t.Context()); err == nil {
		t.Error("a discarded spool can be committed")
	}
	got, err := io.ReadAll(reader)
	wantNone(t, err)
	wantEqual(t, string(got), "discar")
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
}

func testShortCommit(t *testing.T, s *Store, _ *damages) {
	dgst := digest.FromString("short")
	sp, err := s.NewSpool(dgst, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	if _, err := sp.Write([]byte("shor")); err != nil {
		t.Fatal(err)
	}
	if err := sp.Commit(t.Context()); err == nil {
		t.Error("4 of 5 bytes were committed")
	}
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
}

func testB5Truncated(t *testing.T, s *Store, d *damages) {
	content := randomBytes(1000)
	dgst := commit(t, s, content)
	wantNone(t, s.writer.put(t.Context(), blobPath(dgst), content[:999]))
	_, err := s.OpenBlob(t.Context(), dgst, 1000)
	wantMissing(t, err)
	wantEqual(t, d.list(), []digest.Digest{dgst})
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)

	commit(t, s, content)
	blob, err := s.OpenBlob(t.Context(), dgst, 1000)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, blob.Close())
}

func testFalseSize(t *testing.T, s *Store, d *damages) {
	dgst := commit(t, s, []byte("intact"))
	for range 2 {
		_, err := s.OpenBlob(t.Context(), dgst, 7)
		wantMissing(t, err)
	}
	wantEqual(t, d.list(), []digest.Digest(nil))
	blob, err := s.OpenBlob(t.Context(), dgst, 6)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, blob.Close())
	// Remembered as intact, it must still be examined again once its content has changed.
	wantNone(t, s.writer.put(t.Context(), blobPath(dgst), []byte("int")))
	_, err = s.OpenBlob(t.Context(), dgst, 6)
	wantMissing(t, err)
	wantEqual(t, d.list(), []digest.Digest{dgst})
}

func testM3Removed(t *testing.T, s *Store, d *damages) {
	dgst := commit(t, s, []byte("lost"))
	desc := ocispec.Descriptor{Digest: dgst, Size: 4, MediaType: "layer"}
	wantNone(t, s.LinkBlob(t.Context(), nginx, desc))
	wantNone(t, s.driver.Delete(t.Context(), blobsRoot))
	_, err := s.OpenBlob(t.Context(), dgst, 4)
	wantMissing(t, err)
	wantEqual(t, d.list(), []digest.Digest(nil))
	commit(t, s, []byte("lost"))
	_, err = s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
}

func testConcurrent(t *testing.T, s *Store, d *damages) {
	content := randomBytes(10_000)
	dgst := digest.FromBytes(content)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			commit(t, s, content)
			desc := putManifest(t, s, nginx, "same")
			wantNone(t, s.LinkBlob(t.Context(), nginx, ocispec.Descriptor{Digest: dgst, Size: 10_000}))
			wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest, CheckedAt: time.Now()}))
			blob, err := s.OpenBlob(t.Context(), dgst, 10_000)
			if err != nil {
				t.Error(err)
				return
			}
			defer blob.Close()
			if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes and error %v", len(got), err)
			}
			rec, err := s.Tag(t.Context(), nginx, "1")
			wantNone(t, err)
			wantEqual(t, rec.Digest, desc.Digest)
		})
	}
	wg.Wait()
	wantEqual(t, d.list(), []digest.Digest(nil))
}

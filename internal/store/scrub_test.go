package store

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// scrubAll scrubs every part at the time that it is due, and returns what was bad.
func scrubAll(t *testing.T, s *Store, now *time.Time) (bad []digest.Digest, blobs int) {
	t.Helper()
	for range scrubParts {
		report, err := s.Scrub(t.Context(), scrubParts*time.Minute, func() time.Time { return *now })
		if err != nil {
			t.Fatal(err)
		}
		bad = append(bad, report.Bad...)
		blobs += report.Blobs
		*now = report.Next
	}
	return bad, blobs
}

func TestScrub_B5_FindsAFlippedBit(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		now := time.Unix(1_700_000_000, 0)
		good, flipped := commit(t, s, []byte("good")), commit(t, s, bytes.Repeat([]byte("x"), 3*scrubBuffer))
		content := bytes.Repeat([]byte("x"), 3*scrubBuffer)
		content[2*scrubBuffer] ^= 1
		if err := s.driver.PutContent(t.Context(), blobPath(flipped), content); err != nil {
			t.Fatal(err)
		}
		bad, blobs := scrubAll(t, s, &now)
		if diff := cmp.Diff([]digest.Digest{flipped}, bad); diff != "" || blobs != 2 {
			t.Errorf("%d blobs, bad (-want +got):\n%s", blobs, diff)
		}
		_, err := s.StatBlob(t.Context(), flipped)
		wantMissing(t, err)
		_, err = s.StatBlob(t.Context(), good)
		wantNone(t, err)
		if bad, blobs := scrubAll(t, s, &now); len(bad) != 0 || blobs != 1 {
			t.Errorf("the second time: %d blobs, bad %v", blobs, bad)
		}
	})
}

// unreadable is a driver that cannot read one file.
type unreadable struct {
	storagedriver.StorageDriver
	path string
}

func (u unreadable) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if path == u.path {
		return nil, os.ErrPermission
	}
	return u.StorageDriver.Reader(ctx, path, offset)
}

func TestScrub_B5_GoesOnBeyondWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	commit(t, s, []byte("good"))
	bad := commit(t, s, []byte("locked away"))
	s.driver = unreadable{s.driver, blobPath(bad)}
	now := time.Unix(1_700_000_000, 0)
	if lost, blobs := scrubAll(t, s, &now); blobs != 1 || len(lost) != 0 {
		t.Errorf("scrubbed %d, lost %v; want the one that can be read", blobs, lost)
	}
}

func TestScrub_B5_GoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	for part := range 3 {
		s, _ := openStore(t, Options{Data: folder})
		for range 2 { // the second comes too early
			report, err := s.Scrub(t.Context(), scrubParts*time.Hour, clock)
			if err != nil || !report.Next.Equal(now.Add(time.Hour)) {
				t.Errorf("got %+v, %v; want the next part in an hour", report, err)
			}
		}
		position, err := s.scrubPosition(t.Context())
		if err != nil || position.Part != part+1 {
			t.Errorf("got %+v, %v; want part %d next", position, err, part+1)
		}
		now = now.Add(time.Hour)
	}
}

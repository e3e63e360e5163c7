package store

import (
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
)

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

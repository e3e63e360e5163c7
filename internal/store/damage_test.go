package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestCondemn_SparesWhatWasRepairedMeanwhile(t *testing.T) {
	t.Parallel()
	s, d := openStore(t, Options{})
	content := randomBytes(1000)
	dgst := commit(t, s, content)
	file := filepath.Join(filepath.Dir(filepath.Dir(s.spools.dir)), blobPath(dgst))
	wantNone(t, os.Truncate(file, 999))
	seen, err := s.state(t.Context(), dgst)
	wantNone(t, err)
	commit(t, s, content)
	wantMissing(t, s.condemn(t.Context(), dgst, seen))
	size, err := s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
	wantEqual(t, size, int64(1000))
	wantEqual(t, d.list(), []digest.Digest(nil))
}

func TestOpenBlob_KeepsWhatItHadNoTimeToExamine(t *testing.T) {
	t.Parallel()
	s, d := openStore(t, Options{})
	dgst := commit(t, s, []byte("0123456789"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.OpenBlob(ctx, dgst, 11)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	_, err = s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
	wantEqual(t, d.list(), []digest.Digest(nil))
}

func TestOpenBlob_AFolderIsNoBlob(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	dgst := digest.FromString("folder")
	wantNone(t, s.writer.put(t.Context(), blobPath(dgst)+"/x", nil))
	_, err := s.OpenBlob(t.Context(), dgst, -1)
	wantMissing(t, err)
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
}

func TestOpen_RefusesWhatCannotBeAStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	wantNone(t, os.WriteFile(file, nil, 0o600))
	for name, o := range map[string]Options{
		"No data folder":           {},
		"A driver nobody imported": {Data: t.TempDir(), Driver: "tape"},
		"A file in the way":        {Data: filepath.Join(file, "data")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Open(t.Context(), o); err == nil {
				t.Error("it was opened")
			}
		})
	}
}

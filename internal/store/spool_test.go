package store

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func spoolFiles(t *testing.T, s *Store) []string {
	t.Helper()
	entries, err := os.ReadDir(s.spools.dir)
	wantNone(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestSpool_GrowsForItsReaders(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	dgst := digest.FromString("growing")
	sp, err := s.NewSpool(dgst, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	names := spoolFiles(t, s)
	if len(names) != 1 || !strings.HasPrefix(names[0], "sha256-"+dgst.Encoded()+".") {
		t.Errorf("the spool is called %q", names)
	}
	reader, err := sp.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, part := range []string{"grow", "ing"} {
		if _, err := sp.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(reader)
		wantNone(t, err)
		wantEqual(t, string(got), part)
	}
	wantNone(t, sp.Commit(t.Context()))
	sp.Discard()
	_, err = sp.Open()
	wantMissing(t, err)
	_, err = reader.Seek(0, io.SeekStart)
	wantNone(t, err)
	got, err := io.ReadAll(reader)
	wantNone(t, err)
	wantEqual(t, string(got), "growing")
	wantEqual(t, len(spoolFiles(t, s)), 0)
	blob, err := s.OpenBlob(t.Context(), dgst, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if blob.File == nil {
		t.Error("a local blob has no file to send")
	}
}

func TestOpen_RemovesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	data, root := t.TempDir(), t.TempDir()
	o := Options{Data: data, Parameters: map[string]any{"rootdirectory": root}}
	s, _ := openStore(t, o)
	sp, err := s.NewSpool(digest.FromString("killed"), 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sp.Discard)
	wantNone(t, os.WriteFile(filepath.Join(s.spools.dir, "put.X"), nil, 0o600))
	dgst := commit(t, s, []byte("kept"))
	wantEqual(t, len(spoolFiles(t, s)), 2)
	wantEqual(t, filepath.Dir(filepath.Dir(s.spools.dir)), root)

	s, _ = openStore(t, o)
	wantEqual(t, len(spoolFiles(t, s)), 0)
	_, err = s.StatBlob(t.Context(), dgst)
	wantNone(t, err)
}

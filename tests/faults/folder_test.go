package faults

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/process"
)

const layout = "larder-data/docker/registry/v2/"

// blobFile is where a blob or manifest lies.
func (s *site) blobFile(dgst digest.Digest) string {
	hex := dgst.Encoded()
	return filepath.Join(s.Dir, layout, "blobs", dgst.Algorithm().String(), hex[:2], hex, "data")
}

func (s *site) stores(t testing.TB, dgst digest.Digest) bool {
	t.Helper()
	_, err := os.Stat(s.blobFile(dgst))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	return err == nil
}

// holdsOnlyWhole looks through the data folder: nothing is left in the spool, and every blob is what its name says. It returns how
// many there are.
func (s *site) holdsOnlyWhole(t testing.TB) int {
	t.Helper()
	s.quiet(t)
	process.Eventually(t, "an empty spool", func() bool {
		left, err := os.ReadDir(filepath.Join(s.Dir, "larder-data/larder/spool"))
		return len(left) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
	})
	blobs := 0
	root := filepath.Join(s.Dir, layout, "blobs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		blobs++
		if got := digest.FromBytes(content); path != s.blobFile(got) {
			t.Errorf("the store holds %s with %d bytes of digest %s", path, len(content), got)
		}
		return nil
	})
	if err != nil {
		t.Errorf("looking through the store: %v", err)
	}
	return blobs
}

package faults

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestDisk_M3_FilesChangedByHand changes the store behind the process's back. The next pull is whole, by the process that runs and by
// a fresh one, and repairs what is missing. Manifests and tags that the process has in memory it goes on serving from there.
func TestDisk_M3_FilesChangedByHand(t *testing.T) {
	t.Parallel()
	repository := filepath.Join("repositories", process.Host, "app")
	for _, test := range []struct {
		name   string
		change func(*testing.T, *site, origin.Image)
		fetch  bool // a fetch from the origin mends it: a link or record is written anew from what is there
		damage bool // it is counted as damage
		memory bool // the process that runs serves it from memory, and does not notice
	}{
		{"A layer cut short", func(t *testing.T, s *site, img origin.Image) { truncate(t, s.blobFile(img.Blobs[1].Digest), 1000) }, true, true, false},
		{"A layer cut to nothing", func(t *testing.T, s *site, img origin.Image) { truncate(t, s.blobFile(img.Blobs[1].Digest), 0) }, true, true, false},
		{"A layer with bytes too many", func(t *testing.T, s *site, img origin.Image) { grow(t, s.blobFile(img.Blobs[1].Digest)) }, true, true, false},
		{"A config cut short", func(t *testing.T, s *site, img origin.Image) { truncate(t, s.blobFile(img.Blobs[0].Digest), 10) }, true, true, false},
		{"A manifest cut short", func(t *testing.T, s *site, img origin.Image) { truncate(t, s.blobFile(img.Digest), 10) }, true, true, true},
		{"A layer removed", func(t *testing.T, s *site, img origin.Image) { remove(t, s.blobFile(img.Blobs[1].Digest)) }, true, false, false},
		{"A layer removed with its folder", func(t *testing.T, s *site, img origin.Image) {
			remove(t, filepath.Dir(s.blobFile(img.Blobs[1].Digest)))
		}, true, false, false},
		{"A manifest removed", func(t *testing.T, s *site, img origin.Image) { remove(t, s.blobFile(img.Digest)) }, true, false, true},
		{"Every link of a layer removed", func(t *testing.T, s *site, img origin.Image) {
			s.removeNamed(t, repository, img.Blobs[1].Digest.Encoded())
		}, false, false, false},
		{"Every link of the manifest removed", func(t *testing.T, s *site, img origin.Image) { s.removeNamed(t, repository, img.Digest.Encoded()) }, true, false, true},
		{"The tag's record removed", func(t *testing.T, s *site, _ origin.Image) { s.remove(t, repository, "_larder/tags/1") }, false, false, true},
		{"The tag removed", func(t *testing.T, s *site, _ origin.Image) {
			s.remove(t, repository, "_larder/tags/1")
			s.remove(t, repository, "_manifests/tags/1")
		}, true, false, true},
		{"The tag's record garbled", func(t *testing.T, s *site, _ origin.Image) {
			garble(t, filepath.Join(s.Dir, layout, repository, "_larder/tags/1/record"))
		}, false, false, true},
		{"Larder's own part of the repository removed", func(t *testing.T, s *site, _ origin.Image) { s.remove(t, repository, "_larder") }, true, false, true},
		{"The whole repository removed", func(t *testing.T, s *site, _ origin.Image) { s.remove(t, repository, "") }, true, false, true},
		{"All repositories removed", func(t *testing.T, s *site, _ origin.Image) { s.remove(t, "repositories", "") }, true, false, true},
		{"All blobs removed", func(t *testing.T, s *site, _ origin.Image) { s.remove(t, "blobs", "") }, true, false, true},
		{"Everything removed", func(t *testing.T, s *site, _ origin.Image) { remove(t, filepath.Join(s.Dir, "larder-data/docker")) }, true, false, true},
		{"The spool's folder removed", func(t *testing.T, s *site, img origin.Image) {
			remove(t, filepath.Join(s.Dir, "larder-data/larder"))
			remove(t, s.blobFile(img.Blobs[1].Digest))
		}, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			s := newPlainSite(t, o)
			img := o.Push(t, "app:1", origin.RandomImage(2, layerSize))
			for _, fresh := range []bool{false, true} {
				pull(t, s.url(process.Host, "app"), img)
				s.quiet(t)
				test.change(t, s, img)
				if fresh {
					s.Restart(t)
				}
				if !test.fetch {
					o.Refuse()
				}
				pull(t, s.url(process.Host, "app"), img)
				if !fresh && test.memory {
					s.Restart(t)
					pull(t, s.url(process.Host, "app"), img)
				}
				s.holdsOnlyWhole(t)
				if got := s.metric(t, "larder_damaged_blobs_total") > 0; got != test.damage {
					t.Errorf("damage is counted: %v, want %v", got, test.damage)
				}
				s.repaired(t, o, img)
			}
		})
	}
}

// repaired fails the test unless the store has all of the image again: a fresh process serves it while the origin is down.
func (s *site) repaired(t *testing.T, o *origin.Origin, img origin.Image) {
	t.Helper()
	o.Refuse()
	s.Restart(t)
	pull(t, s.url(process.Host, "app"), img)
	o.Heal()
}

// TestDisk_B5_ATruncatedBlobIsRepairedByAMirror has larder pull find it (M2, M3).
func TestDisk_B5_ATruncatedBlobIsRepairedByAMirror(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	img := o.Push(t, "app:1", origin.RandomImage(2, layerSize))
	for _, change := range []func(){
		func() {},
		func() { truncate(t, s.blobFile(img.Blobs[1].Digest), 5) },
		func() { remove(t, s.blobFile(img.Blobs[2].Digest)) },
		func() { remove(t, s.blobFile(img.Digest)) },
	} {
		change()
		if out, err := s.Run(t, "pull", process.Host+"/app:1"); err != nil {
			t.Errorf("larder pull: %v\n%s", err, out)
		}
		s.repaired(t, o, img)
	}
	for i, b := range img.Blobs {
		want := int64(1)
		if i > 0 {
			want = 2 // once more for the one that was damaged or gone
		}
		if got := o.Count(origin.Blobs().By(http.MethodGet).Of(b.Digest.String())); int64(got) != want {
			t.Errorf("blob %d was fetched %d times, want %d", i, got, want)
		}
	}
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func grow(t *testing.T, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, append(content, "more"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func garble(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, bytes.Repeat([]byte{0}, 100), 0o600); err != nil {
		t.Fatal(err)
	}
}

// remove removes what must be there.
func remove(t *testing.T, name string) {
	t.Helper()
	_, err := os.Lstat(name)
	if err == nil {
		err = os.RemoveAll(name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) remove(t *testing.T, folder, name string) {
	t.Helper()
	remove(t, filepath.Join(s.Dir, layout, folder, name))
}

// removeNamed removes all below a folder whose name has the word in it.
func (s *site) removeNamed(t *testing.T, folder, word string) {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(s.Dir, layout, folder), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), word) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) < 2 {
		t.Fatalf("found %q with %s in their names (%v), want a link and a record", found, word, err)
	}
	for _, path := range found {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

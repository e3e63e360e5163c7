package grant

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
)

func TestBook_KeepsNoCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("one", "a", "pod", "pull")
	w.want("one", "")
	w.restart()
	files := 0
	err := filepath.WalkDir(w.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(alice.Username)) || bytes.Contains(content, []byte(alice.Password)) {
			t.Errorf("%s tells a credential: %s", path, content)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in the store: %v", files, err)
	}
}

func TestBook_TellsWhoWatchesWithoutHoldingUpPulls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := 0
	defer w.book.Watch(func(repo imageref.Repository) {
		told++
		lock := w.book.lock(repo)
		if !lock.TryLock() {
			t.Error("who watches is told while pulls wait for the record's lock")
			return
		}
		lock.Unlock()
	})()
	w.book.Add(t.Context(), w.repo, Grant{ID: "some", Namespaces: []string{"a"}})
	if told != 1 {
		t.Errorf("a grant was told %d times", told)
	}
}

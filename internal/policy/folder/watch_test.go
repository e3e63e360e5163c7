package folder_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/policy/folder"
)

// patience is below the ten seconds after which the folder is read without an event.
const patience = 9 * time.Second

type change struct {
	objects  folder.Objects
	problems []folder.Problem
}

// watch loads and follows a folder for the rest of the test.
func watch(t *testing.T, f *folder.Folder) <-chan change {
	t.Helper()
	load(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan change, 100), make(chan struct{})
	go func() {
		defer close(ended)
		f.Watch(ctx, func(o folder.Objects, p []folder.Problem) { changes <- change{o, p} })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return changes
}

// await waits until the objects are those wanted, with or without problems.
func await(t *testing.T, changes <-chan change, want string, problems bool) {
	t.Helper()
	timeout := time.After(patience)
	last := "no change"
	for {
		select {
		case c := <-changes:
			if last = summary(c.objects); last == want && (len(c.problems) > 0) == problems {
				return
			}
		case <-timeout:
			t.Fatalf("objects = %q, want %q, with problems: %v", last, want, problems)
		}
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestFolder_WatchSeesEdits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": repository("a", "1h")})
	changes := watch(t, folder.New(dir))

	write(t, dir, map[string]string{"a.yaml": repository("a", "2h")})
	await(t, changes, "a=2h", false)
	write(t, dir, map[string]string{"a.yaml": "spec: ["})
	await(t, changes, "a=2h", true)
	write(t, dir, map[string]string{".a.yaml.new": repository("a", "3h")})
	rename(t, filepath.Join(dir, ".a.yaml.new"), filepath.Join(dir, "a.yaml"))
	await(t, changes, "a=3h", false)
	write(t, dir, map[string]string{"b.yaml": image("b", "b:1")})
	await(t, changes, "a=3h b:1", false)
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "b:1", false)
}

func TestFolder_WatchSeesAnEditBetweenLoadAndWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folder.New(dir)
	load(t, f)
	write(t, dir, map[string]string{"a.yaml": repository("a", "1h")})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen string
	f.Watch(ctx, func(o folder.Objects, _ []folder.Problem) {
		seen = summary(o)
		cancel()
	})
	if want := "a=1h"; seen != want {
		t.Errorf("objects = %q, want %q", seen, want)
	}
}

func TestFolder_WatchFollowsAConfigMapMount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"..2026_01/a.yaml": repository("a", "1h"),
		"..2026_02/a.yaml": repository("a", "2h"),
	})
	symlink(t, "..2026_01", filepath.Join(dir, "..data"))
	symlink(t, "..data/a.yaml", filepath.Join(dir, "a.yaml"))
	changes := watch(t, folder.New(dir))

	symlink(t, "..2026_02", filepath.Join(dir, "..data_tmp"))
	rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	await(t, changes, "a=2h", false)
}

func TestFolder_WatchFollowsTheFolderItself(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "deep", "down")
	changes := watch(t, folder.New(dir))

	write(t, dir, map[string]string{"a.yaml": repository("a", "1h")})
	await(t, changes, "a=1h", false)
	rename(t, dir, dir+".old")
	await(t, changes, "", false)
	write(t, dir, map[string]string{"a.yaml": repository("a", "2h")})
	await(t, changes, "a=2h", false)
	if err := os.RemoveAll(filepath.Join(root, "deep")); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "", false)
	write(t, dir, map[string]string{"a.yaml": repository("a", "3h")})
	await(t, changes, "a=3h", false)
	write(t, dir, map[string]string{"a.yaml": repository("a", "4h")})
	await(t, changes, "a=4h", false)
}

func TestFolder_WatchFollowsALinkToAFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"one/a.yaml": repository("a", "1h"), "two/a.yaml": repository("a", "2h")})
	dir := filepath.Join(root, "current")
	symlink(t, "one", dir)
	changes := watch(t, folder.New(dir))

	symlink(t, "two", dir+".new")
	rename(t, dir+".new", dir)
	await(t, changes, "a=2h", false)
	write(t, filepath.Join(root, "two"), map[string]string{"a.yaml": repository("a", "3h")})
	await(t, changes, "a=3h", false)
}

func TestFolder_WatchKeepsWhatARequiredFolderHeld(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "manifests")
	write(t, dir, map[string]string{"a.yaml": repository("a", "1h")})
	changes := watch(t, folder.New(dir, folder.Required()))

	rename(t, dir, dir+".old")
	await(t, changes, "a=1h", true)
	rename(t, dir+".old", dir)
	await(t, changes, "a=1h", false)
}

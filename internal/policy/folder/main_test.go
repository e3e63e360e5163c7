package folder_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/policy/folder"
	"github.com/larder-dev/larder/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func repository(name, interval string) string {
	return fmt.Sprintf("apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: %s}\nspec: {name: %s, updateInterval: %s}\n",
		name, name, interval)
}

func image(name, source string) string {
	return fmt.Sprintf("apiVersion: larder.dev/v1alpha1\nkind: CachedImage\nmetadata: {name: %s}\nspec: {sourceImage: %s}\n",
		name, source)
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, f *folder.Folder) (folder.Objects, []folder.Problem) {
	t.Helper()
	objects, problems, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	return objects, problems
}

// summary tells the objects in a line: "nginx=1h postgres:15".
func summary(o folder.Objects) string {
	var words []string
	for _, r := range o.Repositories {
		words = append(words, fmt.Sprintf("%s=%s", r.Spec.Name, r.Spec.UpdateInterval))
	}
	for _, c := range o.CachedImages {
		words = append(words, c.Spec.SourceImage)
	}
	return strings.Join(words, " ")
}

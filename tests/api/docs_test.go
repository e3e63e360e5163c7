package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

// examples lists the files of manifests; what lies in docs/examples itself is configuration.
func examples(t *testing.T) []string {
	t.Helper()
	var files []string
	dir := filepath.Join(root, "docs/examples")
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Dir(path) != dir {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("got %d examples, %v", len(files), err)
	}
	return files
}

func TestExamples_ApplyCleanly(t *testing.T) {
	t.Parallel()
	for _, file := range examples(t) {
		t.Cleanup(func() {
			for _, object := range objects(t, read(t, file)) {
				deleted(t, object.Kind, object.Name)
			}
		})
		for _, done := range []string{"created", "unchanged"} {
			out := kubectl(t, "apply", "-f", file)
			for line := range strings.Lines(out) {
				if !strings.HasSuffix(line, " "+done+"\n") {
					t.Errorf("%s: kubectl says %q, want everything %s", file, out, done)
				}
			}
		}
	}
}

// The examples of one folder may all be applied at once.
func TestExamples_AreInForceTogether(t *testing.T) {
	t.Parallel()
	folders := map[string][]string{}
	for _, file := range examples(t) {
		folders[filepath.Dir(file)] = append(folders[filepath.Dir(file)], file)
	}
	for folder, files := range folders {
		var repositories []v1alpha1.Repository
		var images []v1alpha1.CachedImage
		for _, file := range files {
			for _, object := range objects(t, read(t, file)) {
				switch object.Kind {
				case "Repository":
					repositories = append(repositories, decode[v1alpha1.Repository](t, object.text))
				case "CachedImage":
					images = append(images, decode[v1alpha1.CachedImage](t, object.text))
				}
			}
		}
		if _, problems := policy.Compile(repositories, images, policy.Defaults{}); len(problems) > 0 {
			t.Errorf("%s: %v", folder, problems)
		}
	}
}

var fence = regexp.MustCompile("(?s)```yaml\n(apiVersion:.*?)```")

func TestSpecs_TheirExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		found := fence.FindAllStringSubmatch(read(t, page.path()), -1)
		if len(found) == 0 {
			t.Errorf("%s has no example", page.path())
		}
		for _, text := range found {
			if out, err := apply(t, text[1], "--dry-run=server"); err != nil {
				t.Errorf("%s: %s", page.path(), out)
			}
		}
	}
}

// pages are the references of the kinds.
var pages = []page{{"repository.md", "larder.dev_repositories.yaml"}, {"cachedimage.md", "larder.dev_cachedimages.yaml"}}

type page struct{ file, crd string }

func (p page) path() string { return filepath.Join(root, "docs/spec/v1alpha1", p.file) }

func TestSpecs_NameEveryField(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		text := strings.Join(strings.Fields(read(t, page.path())), " ")
		object := objectOf(t, page.crd)
		for _, part := range []string{"spec", "status"} {
			for _, name := range slices.Sorted(maps.Keys(object.Properties[part].Properties)) {
				if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+".") {
					t.Errorf("%s: says nothing of %s.%s", page.file, part, name)
				}
			}
		}
		for _, message := range messages(object) {
			if rule := "cannot be changed"; strings.Contains(message, rule) && !strings.Contains(text, rule) {
				t.Errorf("%s does not say what %s", page.file, rule)
			}
		}
	}
}

func TestSpecs_NameEveryConstant(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, page := range pages {
		text.WriteString(read(t, page.path()))
	}
	for _, file := range []string{"conditions.go", "names.go", "cachedimage_types.go", "repository_types.go"} {
		for name, value := range constants(t, file) {
			if !strings.Contains(text.String(), "`"+value) && !strings.Contains(text.String(), "="+value) {
				t.Errorf("no page explains %s, %q", name, value)
			}
		}
	}
}

// constants lists the constants of a file of the API, by name.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api/v1alpha1", file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			for i, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					found[spec.Names[i].Name], _ = strconv.Unquote(literal.Value)
				}
			}
		}
		return true
	})
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// object is one of a file's documents.
type object struct{ Kind, Name, text string }

func objects(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	for document := range strings.SplitSeq(text, "\n---\n") {
		head := decode[struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}](t, document)
		all = append(all, object{head.Kind, head.Metadata.Name, document})
	}
	return all
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var object T
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, set := range sets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			text := render(t, set)
			if diff := cmp.Diff(text, render(t, set)); diff != "" {
				t.Errorf("rendered twice it differs, which GitOps would take for a change:\n%s", diff)
			}
			got, path := withoutCRDs(text), filepath.Join("testdata", "golden", set+".yaml")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v: run go test ./tests/chart -run TestGolden -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("it renders otherwise than the golden file (-want +got):\n%s", diff)
			}
		})
	}
}

// withoutCRDs leaves out what TestCRDs compares with its files.
func withoutCRDs(text string) string {
	var kept []string
	for document := range strings.SplitSeq(text, "---\n") {
		if !strings.HasPrefix(document, "# Source: larder/templates/crds.yaml") {
			kept = append(kept, document)
		}
	}
	return strings.Join(kept, "---\n")
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, set := range sets(t) {
		if out, problem, err := run(t, "lint", "--strict", folder, "--values", file(set)); err != nil {
			t.Errorf("%s: %v\n%s%s", set, err, out, problem)
		}
	}
}

package binary

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSet_TellsThePinnedVersions(t *testing.T) {
	t.Parallel()
	source, err := Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line, module := range map[string]string{
		"k8s.io/kubernetes v" + kubernetes:                        ".",
		"github.com/containerd/containerd/v2 " + containerd + " ": "node",
		"sigs.k8s.io/cri-tools " + crictl + " ":                   "node",
	} {
		content, err := os.ReadFile(filepath.Join(source, module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), line) {
			t.Errorf("%s/go.mod does not pin %s", module, line)
		}
	}
}

func TestSet_FingerprintFollowsTheSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module a")
	write("go.sum", "")
	write("main.go", "package main")
	sum := func(s Set) string {
		sum, err := s.fingerprint(dir)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	set := Set{module: ".", sources: []string{"main.go"}, packages: []string{"."}}
	first := sum(set)
	if again := sum(set); again != first {
		t.Errorf("the fingerprint was %s, and is %s", first, again)
	}
	tagged := set
	tagged.tags = "other"
	if sum(tagged) == first {
		t.Error("the fingerprint is blind to tags")
	}
	write("main.go", "package main // other")
	if sum(set) == first {
		t.Error("the fingerprint is blind to a source")
	}
}

func TestTool(t *testing.T) {
	t.Parallel()
	path, err := Tool(t.Context(), "controller-gen")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the tool at %s: %v, %v", path, info, err)
	}
	if path, err := Tool(t.Context(), "no-such-tool"); err == nil || !strings.Contains(err.Error(), "no-such-tool") {
		t.Errorf("got %q and %v, want an error that names the tool", path, err)
	}
}

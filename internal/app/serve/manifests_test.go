package serve

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/policy/folder"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// followed is a folder of manifests whose edits are read one by one.
type followed struct {
	*manifests
	dir   string
	lines []string
}

func follow(t *testing.T) *followed {
	t.Helper()
	f := &followed{dir: t.TempDir()}
	f.manifests = &manifests{
		folder: folder.New(f.dir), current: &policy.Current{}, changed: make(chan struct{}, 1),
		problems: metrics.New(prometheus.NewRegistry()).ManifestProblems,
		log:      funcr.New(func(_, line string) { f.lines = append(f.lines, line) }, funcr.Options{}),
	}
	return f
}

// edit writes a file, reads the folder and returns the lines about problems.
func (f *followed) edit(t *testing.T, name, text string) (summary, string) {
	t.Helper()
	write(t, filepath.Join(f.dir, name), text)
	f.lines = nil
	objects, problems, err := f.folder.Load()
	if err != nil {
		t.Fatal(err)
	}
	read := f.apply(objects, problems)
	read.without(f.known).report(f.log)
	f.known = read.known()
	return read, strings.Join(f.lines, "\n")
}

func TestManifests_ABadEditSaysWhatIsInForce(t *testing.T) {
	t.Parallel()
	f := follow(t)
	_, said := f.edit(t, "b.yaml", badManifest)
	if !strings.Contains(said, "not in force; there is no earlier version") || !strings.Contains(said, `"field"="spec.updateFilters[0]"`) {
		t.Errorf("of a file that never was good it said %s", said)
	}
	f.edit(t, "a.yaml", goodManifest)
	_, said = f.edit(t, "a.yaml", "{")
	if !strings.Contains(said, "not in force; the last good version of this file stays") || strings.Contains(said, "field") || strings.Contains(said, "b.yaml") {
		t.Errorf("of an edit without a field it said %s; want only what is new, and no empty field", said)
	}
	if got := testutil.ToFloat64(f.problems); got != 2 {
		t.Errorf("%v problems are counted, want 2", got)
	}
	f.edit(t, "a.yaml", goodManifest)
	if got := testutil.ToFloat64(f.problems); got != 1 {
		t.Errorf("%v problems are counted, want 1", got)
	}
	if _, said = f.edit(t, "a.yaml", "{"); !strings.Contains(said, "a.yaml") {
		t.Errorf("of a mistake that came back it said %q", said)
	}
}

func TestManifests_CountsWhatIsInForce(t *testing.T) {
	t.Parallel()
	f := follow(t)
	f.edit(t, "a.yaml", goodManifest)
	conflicting := strings.Replace(goodManifest, "{name: nginx}", "{name: other}", 1)
	if read, _ := f.edit(t, "b.yaml", conflicting); read.repositories != 1 || len(read.problems) != 1 {
		t.Errorf("%d Repositories, problems %v; want one in force and a conflict", read.repositories, read.problems)
	}
}

func TestManifests_SaysOnceWhatIsForClusters(t *testing.T) {
	t.Parallel()
	f := follow(t)
	private := strings.Replace(goodManifest, "1h}", "1h, access: Shared, pullSecretNames: [hub]}", 1)
	if _, said := f.edit(t, "a.yaml", private); !strings.Contains(said, "no effect") ||
		!strings.Contains(said, "spec.access") || !strings.Contains(said, "spec.pullSecretNames") || !strings.Contains(said, "a.yaml:1") {
		t.Errorf("it said %q, want which fields of which file have no effect", said)
	}
	if _, said := f.edit(t, "a.yaml", private+"# edited\n"); said != "" {
		t.Errorf("it said %q, want nothing again", said)
	}
}

// Package floors_test checks who imports whom: a package imports only from floors below its own, siblings only where the table
// names them. Tests are free to import what they need.
package floors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/larder-dev/larder"

// part is a package of a floor, or several ("controllers/*"), and the siblings that it may import.
type part struct {
	name     string
	siblings []string
}

// floors lists every package of the module, bottom to top. A new package is added here, on the lowest floor that will do.
var floors = [][]part{
	{
		{name: "api/v1alpha1"},
		{name: "internal/imageref"},
		{name: "internal/hop"},
		{name: "internal/httpx", siblings: []string{"internal/metrics"}},
		{name: "internal/layout", siblings: []string{"internal/imageref"}},
		{name: "internal/logging"},
		{name: "internal/manifest", siblings: []string{"internal/imageref"}},
		{name: "internal/metrics"},
		{name: "internal/names", siblings: []string{"internal/imageref"}},
		{name: "internal/ocipath"},
		{name: "internal/replicas"},
		{name: "internal/strictyaml"},
		{name: "internal/token"},
		{name: "internal/version"},
		{name: "internal/durable"},
		{name: "internal/events", siblings: []string{"internal/durable", "internal/metrics", "internal/version"}},
	},
	{
		{name: "internal/store"},
		{name: "internal/upstream"},
		{name: "internal/policy"},
		{name: "internal/policy/folder", siblings: []string{"internal/policy"}},
		{name: "internal/rollout"},
		{name: "internal/usage", siblings: []string{"internal/rollout"}},
		{name: "internal/grant", siblings: []string{"internal/store", "internal/upstream"}},
		{name: "internal/access", siblings: []string{"internal/grant", "internal/usage"}},
		{name: "internal/status"},
		{name: "internal/rewrite"},
		{name: "internal/hooks"},
	},
	{
		{name: "internal/cache/fetch"},
		{name: "internal/cache", siblings: []string{"internal/cache/fetch"}},
	},
	{
		{name: "internal/hosts"},
		{name: "proxy"},
		{name: "proxy/relay"},
		{name: "webhook"},
		{name: "webhook/certificate"},
		{name: "controllers/*"},
		{name: "internal/control"},
	},
	{
		{name: "internal/options/daemon"},
		{name: "internal/options/configfile"},
		{name: "internal/options/cluster"},
		{name: "internal/options/serve", siblings: []string{"internal/options/daemon", "internal/options/configfile"}},
		{name: "internal/options/proxy", siblings: []string{"internal/options/daemon", "internal/options/configfile"}},
		{name: "internal/options/*", siblings: []string{
			"internal/options/serve", "internal/options/cluster", "internal/options/daemon",
		}},
		{name: "internal/app/admin"},
		{name: "internal/app/cli"},
		{name: "internal/app/kube"},
		{name: "internal/app/owner", siblings: []string{"internal/options/*"}},
		{name: "internal/app/beside", siblings: []string{"internal/options/*", "internal/app/owner"}},
		{name: "internal/app/server", siblings: []string{"internal/app/admin", "internal/app/owner"}},
		{name: "internal/app/*", siblings: []string{
			"internal/options/*", "internal/app/admin", "internal/app/beside", "internal/app/cli", "internal/app/kube", "internal/app/owner", "internal/app/server",
		}},
	},
	{
		{name: "cmd/*"},
	},
}

// exempt are the packages that may import anything: tests and tools.
var exempt = []string{"tests", "hack"}

// foreign says which packages must not get into a part, by prefix: among its own imports or, with deep, among what those
// import too.
type foreign struct {
	part     string // empty: every part but those of except
	except   []string
	prefixes []string
	deep     bool
}

var (
	kubernetes = []string{"k8s.io/", "sigs.k8s.io/"} // but for jsonDecoder
	storage    = []string{"github.com/distribution/distribution/", module + "/internal/store", module + "/internal/cache"}
)

// jsonDecoder lies where Kubernetes does, but is encoding/json with case-sensitive keys and nothing else.
const jsonDecoder = "sigs.k8s.io/json"

var forbidden = []foreign{
	{part: "proxy", prefixes: kubernetes, deep: true},
	{part: "internal/cache", prefixes: kubernetes, deep: true},
	{part: "internal/cache/fetch", prefixes: kubernetes, deep: true},
	{part: "internal/store", prefixes: kubernetes, deep: true},
	{part: "internal/upstream", prefixes: kubernetes, deep: true},
	{part: "internal/grant", prefixes: kubernetes, deep: true},
	{part: "proxy/relay", prefixes: slices.Concat(kubernetes, storage), deep: true},
	{part: "cmd/larder-proxy", prefixes: slices.Concat(kubernetes, storage), deep: true},
	{part: "cmd/larder-proxy", prefixes: []string{"github.com/cloudevents/"}, deep: true},
	{part: "internal/events", prefixes: kubernetes, deep: true},
	{except: []string{"internal/logging"}, prefixes: []string{"go.uber.org/zap", "github.com/go-logr/zapr"}},
}

func TestFloors(t *testing.T) {
	t.Parallel()
	packages := list(t)
	if _, ok := packages[module+"/internal/imageref"]; !ok {
		t.Fatalf("go list found %d packages, but not internal/imageref", len(packages))
	}
	for name, pkg := range packages {
		if local, ok := localName(name); ok && !isExempt(local) {
			for _, problem := range check(local, pkg, packages) {
				t.Error(problem)
			}
		}
	}
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string // without those of its tests
	Deps       []string // Imports, and theirs
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	touchSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing the packages of %s: %v\n%s", module, err, &complaints)
	}
	packages := make(map[string]pkg)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// touchSources lists the module's folders, so that go test sees what the outcome depends on: it does not cache a result
// beyond a change of files that the test itself looked at, and what go list reads it does not know.
func touchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(_ string, entry fs.DirEntry, err error) error {
		if name := entry.Name(); err == nil && entry.IsDir() && len(name) > 2 && name[0] == '.' {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatalf("listing the module's folders: %v", err)
	}
}

// check returns what is wrong with one package of the module.
func check(local string, p pkg, packages map[string]pkg) []string {
	floor, own, ok := find(local)
	if !ok {
		return []string{fmt.Sprintf("%s stands on no floor: add it to the table in hack/floors/floors_test.go, "+
			"on the lowest floor that is above everything it imports", local)}
	}
	var problems []string
	for _, imported := range p.Imports {
		if other, ok := localName(imported); ok && !mayImport(floor, own, other) {
			problems = append(problems, fmt.Sprintf("%s (floor %d) must not import %s: it is not on a lower floor, nor a sibling "+
				"that the table in hack/floors/floors_test.go names", local, floor, other))
		}
	}
	return append(problems, checkForeign(local, p, packages)...)
}

func mayImport(floor int, own part, other string) bool {
	if isExempt(other) {
		return false
	}
	at, _, ok := find(other)
	return ok && at < floor || slices.ContainsFunc(own.siblings, func(s string) bool { return matches(s, other) })
}

func checkForeign(local string, p pkg, packages map[string]pkg) []string {
	var problems []string
	for _, f := range forbidden {
		if f.part != "" && f.part != local || slices.Contains(f.except, local) {
			continue
		}
		imports := p.Imports
		if f.deep {
			imports = p.Deps
		}
		for _, imported := range imports {
			if hasPrefix(imported, f.prefixes) && !hasPrefix(imported, []string{jsonDecoder}) {
				problems = append(problems, fmt.Sprintf("%s must not import %s%s", local, imported, via(p, imported, packages)))
			}
		}
	}
	return problems
}

// via says which of p's own imports brings in what it imports indirectly.
func via(p pkg, imported string, packages map[string]pkg) string {
	if slices.Contains(p.Imports, imported) {
		return ""
	}
	for _, direct := range p.Imports {
		if slices.Contains(packages[direct].Deps, imported) {
			return ", which comes with " + direct
		}
	}
	return ", which comes with another module (see go list -deps)"
}

// find returns the floor and the part of a package; a part with its very name comes before a pattern.
func find(local string) (floor int, found part, ok bool) {
	for i, parts := range floors {
		for _, p := range parts {
			if p.name == local {
				return i, p, true
			}
			if matches(p.name, local) && !ok {
				floor, found, ok = i, p, true
			}
		}
	}
	return floor, found, ok
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func isExempt(local string) bool {
	first, _, _ := strings.Cut(local, "/")
	return slices.Contains(exempt, first)
}

func localName(importPath string) (string, bool) { return strings.CutPrefix(importPath, module+"/") }

func TestFloors_TellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	packages := map[string]pkg{
		module + "/internal/policy": {Deps: []string{"k8s.io/api/core/v1"}},
	}
	for name, test := range map[string]struct {
		local   string
		imports []string
		deps    []string
		want    string
	}{
		"A lower floor":               {"proxy", []string{module + "/internal/cache"}, nil, ""},
		"A named sibling":             {"internal/app/serve", []string{module + "/internal/app/owner"}, nil, ""},
		"A higher floor":              {"internal/store", []string{module + "/internal/cache"}, nil, "must not import internal/cache"},
		"A sibling":                   {"internal/store", []string{module + "/internal/upstream"}, nil, "must not import internal/upstream"},
		"Another process":             {"internal/app/serve", []string{module + "/internal/app/pull"}, nil, "must not import internal/app/pull"},
		"The server does not go up":   {"internal/app/server", []string{module + "/internal/app/registry"}, nil, "must not import internal/app/registry"},
		"Options of another process":  {"internal/options/registry", []string{module + "/internal/options/controller"}, nil, "must not import internal/options/controller"},
		"The owner does not go up":    {"internal/app/owner", []string{module + "/internal/app/serve"}, nil, "must not import internal/app/serve"},
		"A test's package":            {"proxy", []string{module + "/tests/origin"}, nil, "must not import tests/origin"},
		"A package that has no place": {"internal/util", nil, nil, "stands on no floor"},
		"An import that has no place": {"proxy", []string{module + "/internal/util"}, nil, "must not import internal/util"},
		"Zap outside logging":         {"proxy", []string{"go.uber.org/zap/zapcore"}, nil, "must not import go.uber.org/zap/zapcore"},
		"Zap in logging":              {"internal/logging", []string{"go.uber.org/zap"}, nil, ""},
		"Zap far below":               {"proxy", nil, []string{"go.uber.org/zap"}, ""},
		"Kubernetes where it may be":  {"internal/policy", []string{"k8s.io/api/core/v1"}, []string{"k8s.io/api/core/v1"}, ""},
		"Kubernetes far below the proxy": {"proxy", []string{module + "/internal/policy"}, []string{"k8s.io/api/core/v1"},
			"must not import k8s.io/api/core/v1, which comes with " + module + "/internal/policy"},
		"Storage in the node's binary": {"cmd/larder-proxy", nil, []string{module + "/internal/store"}, "must not import " + module},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(check(test.local, pkg{Imports: test.imports, Deps: test.deps}, packages), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("check says %q, want %q", got, test.want)
			}
		})
	}
}

package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/policy/folder"
)

func TestFolder_ReadsWhatKubectlApplyTakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"b.yaml":          "# a comment first\n---\n" + repository("nginx", "1h") + "---\n" + image("ci", "postgres:15") + "---\n",
		"a.yml":           repository("redis", "0s") + "status: {phase: Ready, images: 3}\n",
		"c.json":          `{"apiVersion":"larder.dev/v1alpha1","kind":"Repository","metadata":{"name":"x"},"spec":{"name":"x","updateInterval":"2h"}}`,
		"README.md":       "not read",
		".hidden.yaml":    "neither: this",
		"backup.yaml~":    "nor: this",
		"sub/nested.yaml": repository("nested", "1h"),
		"empty.yaml":      "# nothing but a comment\n",
	})
	objects, problems := load(t, folder.New(dir))
	if len(problems) > 0 {
		t.Errorf("problems = %v, want none", problems)
	}
	if got, want := summary(objects), "redis=0s nginx=1h x=2h postgres:15"; got != want {
		t.Errorf("objects = %s, want %s", got, want)
	}
	if got, want := objects.Source("CachedImage", "ci"), filepath.Join(dir, "b.yaml")+":8"; got != want {
		t.Errorf("source = %s, want %s", got, want)
	}
}

func TestFolder_ReportsFileFieldAndReason(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: a}\n"
	for name, tt := range map[string]struct {
		text   string
		want   folder.Problem
		reason string // part of the reason
	}{
		"Not YAML":             {head + "spec: 'a", folder.Problem{Line: 4}, "unexpected end"},
		"An unknown key":       {head + "spec:\n  name: a\n  updateIntervall: 1h\n", folder.Problem{Line: 6, Field: "spec.updateIntervall"}, "updateInterval,"},
		"A key twice":          {head + "spec:\n  name: a\n  name: b\n", folder.Problem{Line: 6}, "already defined"},
		"Another type":         {head + "spec:\n  name: a\n  updateInterval: 60\n", folder.Problem{Line: 6, Field: "spec.updateInterval"}, `quote it, "60"`},
		"One filter, no list":  {head + "spec:\n  name: a\n  updateFilters: latest\n", folder.Problem{Line: 6, Field: "spec.updateFilters"}, "[latest]"},
		"A bad filter":         {head + "spec:\n  name: a\n  updateFilters:\n  - latest\n  - '('\n", folder.Problem{Line: 8, Field: "spec.updateFilters[1]"}, "missing closing )"},
		"A bad interval":       {head + "spec:\n  name: a\n  updateInterval: 1d\n", folder.Problem{Line: 6, Field: "spec.updateInterval"}, "such as 1h"},
		"A missing field":      {head + "spec: {}\n", folder.Problem{Line: 4, Field: "spec.name"}, "such as docker.io/library/postgres"},
		"A port that is none":  {head + "spec: {name: 'reg.example:99999/a'}\n", folder.Problem{Line: 4, Field: "spec.name"}, "port"},
		"An unknown kind":      {"apiVersion: larder.dev/v1alpha1\nkind: Deployment\n", folder.Problem{Line: 2, Field: "kind"}, "Repository or CachedImage"},
		"Another API":          {"apiVersion: v1\nkind: Repository\n", folder.Problem{Line: 1, Field: "apiVersion"}, "larder.dev/v1alpha1"},
		"No object at all":     {"just text\n", folder.Problem{Line: 1, Field: "apiVersion"}, "larder.dev/v1alpha1"},
		"No metadata.name":     {"apiVersion: larder.dev/v1alpha1\nkind: Repository\nspec: {name: a}\n", folder.Problem{Line: 1, Field: "metadata.name"}, "write a name"},
		"A name kubectl hates": {"apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: A_b}\nspec: {name: a}\n", folder.Problem{Line: 3, Field: "metadata.name"}, "RFC 1123"},
		"The same name twice":  {repository("a", "1h") + "---\n" + repository("a", "2h"), folder.Problem{Line: 8, Field: "metadata.name"}, "second Repository"},
		"The second document":  {repository("a", "1h") + "---\n" + repository("b", "soon"), folder.Problem{Line: 9, Field: "spec.updateInterval"}, "such as 1h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, map[string]string{"bad.yaml": tt.text, "good.yaml": repository("good", "1h")})
			objects, problems := load(t, folder.New(dir))
			tt.want.File = filepath.Join(dir, "bad.yaml")
			if diff := cmp.Diff([]folder.Problem{tt.want}, problems, cmpopts.IgnoreFields(folder.Problem{}, "Reason", "Instead")); diff != "" {
				t.Errorf("problems (-want +got):\n%s\n%v", diff, problems)
			}
			if len(problems) > 0 && !strings.Contains(problems[0].Reason, tt.reason) {
				t.Errorf("reason = %q, want something with %q", problems[0].Reason, tt.reason)
			}
			if got, want := summary(objects), "good=1h"; got != want {
				t.Errorf("objects = %s, want %s", got, want)
			}
		})
	}
}

func TestFolder_KeepsTheLastGoodVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folder.New(dir)
	for _, step := range []struct {
		what, text, want string
		problems         int
		instead          folder.Instead
	}{
		{"a bad file without a good version", "kind: [", "", 1, folder.Nothing},
		{"a good one", repository("a", "1h") + "---\n" + image("b", "b:1"), "a=1h b:1", 0, 0},
		{"one bad document of two", repository("a", "2h") + "---\n" + image("b", "b:"), "a=1h b:1", 1, folder.LastGood},
		{"nothing but a syntax error", "{", "a=1h b:1", 1, folder.LastGood},
		{"good again", repository("a", "2h"), "a=2h", 0, 0},
		{"emptied on purpose", "", "", 0, 0},
		{"bad after that", "{", "", 1, folder.LastGood},
	} {
		write(t, dir, map[string]string{"a.yaml": step.text})
		objects, problems := load(t, f)
		if got := summary(objects); got != step.want || len(problems) != step.problems {
			t.Errorf("after %s: objects = %s, problems = %v, want %s and %d problems", step.what, got, problems, step.want, step.problems)
		}
		for _, p := range problems {
			if p.Instead != step.instead {
				t.Errorf("after %s: in force instead is %v, want %v", step.what, p.Instead, step.instead)
			}
		}
	}
}

func TestFolder_DeletedFileTakesItsObjectsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folder.New(dir)
	write(t, dir, map[string]string{"a.yaml": repository("a", "1h"), "b.yaml": repository("b", "1h")})
	load(t, f)
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	objects, _ := load(t, f)
	if got, want := summary(objects), "b=1h"; got != want {
		t.Errorf("objects = %s, want %s", got, want)
	}
}

func TestFolder_UnreadableFileIsAProblem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folder.New(dir)
	write(t, dir, map[string]string{"a.yaml": repository("a", "1h")})
	load(t, f)
	path := filepath.Join(dir, "a.yaml")
	if err := os.Truncate(path, 5<<20); err != nil {
		t.Fatal(err)
	}
	objects, problems := load(t, f)
	if len(problems) != 1 || problems[0].File != path {
		t.Errorf("problems = %v, want one with %s", problems, path)
	}
	if got, want := summary(objects), "a=1h"; got != want {
		t.Errorf("objects = %s, want the last good version, %s", got, want)
	}
}

func TestFolder_FirstOfTwoFilesCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"1.yaml": repository("a", "1h"),
		"2.yaml": repository("a", "2h") + "---\n" + image("a", "other-kind:1"),
	})
	objects, problems := load(t, folder.New(dir))
	want := []folder.Problem{{File: filepath.Join(dir, "2.yaml"), Line: 1, Field: "metadata.name"}}
	if diff := cmp.Diff(want, problems, cmpopts.IgnoreFields(folder.Problem{}, "Reason", "Instead")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got, want := summary(objects), "a=1h other-kind:1"; got != want {
		t.Errorf("objects = %s, want %s", got, want)
	}
}

func TestFolder_FileOrderDecidesConflictsEvenOfExportedObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conflicting := func(name, interval, created string) string {
		return "apiVersion: larder.dev/v1alpha1\nkind: Repository\n" +
			"metadata: {name: " + name + ", creationTimestamp: " + created + ", uid: 1234-5678}\n" +
			"spec: {name: nginx, updateInterval: " + interval + "}\n"
	}
	write(t, dir, map[string]string{
		"1.yaml": conflicting("z", "1h", "'2026-02-01T00:00:00Z'"),
		"2.yaml": conflicting("a", "2h", "2020-01-01T00:00:00Z"),
	})
	objects, problems := load(t, folder.New(dir))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, conflicts := policy.Compile(objects.Repositories, objects.CachedImages, policy.Defaults{})
	if len(conflicts) != 1 || conflicts[0].Name != "a" {
		t.Errorf("conflicts = %v, want a to lose", conflicts)
	}
}

func TestFolder_MissingFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	if objects, problems := load(t, folder.New(dir)); summary(objects) != "" || len(problems) > 0 {
		t.Errorf("objects = %v, problems = %v, want none", objects, problems)
	}
	if _, _, err := folder.New(dir, folder.Required()).Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want that the folder does not exist", err)
	}
}

func TestFolder_Examples(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]int{".": 4, "more": 1} {
		objects, problems := load(t, folder.New(filepath.Join("../../../docs/examples/repositories", dir), folder.Required()))
		_, conflicts := policy.Compile(objects.Repositories, objects.CachedImages, policy.Defaults{})
		if len(problems) > 0 || len(conflicts) > 0 {
			t.Errorf("problems of %s = %v, %v, want none", dir, problems, conflicts)
		}
		if got := len(objects.Repositories) + len(objects.CachedImages); got != want {
			t.Errorf("%d objects in %s, want %d", got, dir, want)
		}
	}
}

func TestFolder_WhatDoesNotFitTheDefaultsKeepsTheLastGoodVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.yaml")
	write := func(spec string) {
		t.Helper()
		text := "apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: app}\nspec: {name: app, " + spec + "}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inherited := time.Second
	f := folder.New(dir, folder.WithDefaults(policy.Defaults{Interval: &inherited}))
	write("updateInterval: 1h, updateMode: Periodic")
	if _, problems := load(t, f); len(problems) > 0 {
		t.Fatal(problems)
	}
	write("updateMode: Periodic") // of a second, by the defaults
	objects, problems := load(t, f)
	if len(problems) != 1 || problems[0].Field != "spec.updateInterval" {
		t.Errorf("got the problems %v, want one with spec.updateInterval", problems)
	}
	if len(objects.Repositories) != 1 || objects.Repositories[0].Spec.UpdateInterval != "1h" {
		t.Errorf("got %+v, want the last good version", objects.Repositories)
	}
}

package faults

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reliability is the page for operators. It names tests as `TestName`, and rows of the matrix as `TestFault_Matrix/Row`.
const reliability = "../../docs/reliability.md"

const matrix = "TestFault_Matrix"

var (
	namedTest   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)(?:/([^`]+))?`")
	declaration = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// TestReliability_NamesTestsThatExist holds the page to the tests, and to every row of the matrix.
func TestReliability_NamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(reliability)
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredTests(t)
	named := map[string]bool{}
	for _, m := range namedTest.FindAllStringSubmatch(string(page), -1) {
		name, row := m[1], m[2]
		named[name+"/"+row] = true
		if !declared[name] {
			t.Errorf("the page names %s, which does not exist", name)
		}
		if row != "" && (name != matrix || !hasRow(row)) {
			t.Errorf("the page names %s/%s, which does not exist", name, row)
		}
	}
	for _, r := range rows {
		if !named[matrix+"/"+r.name] {
			t.Errorf("the page does not name %s/%s", matrix, r.name)
		}
	}
	for name := range declaredIn(t, ".") {
		if name != matrix && !named[name+"/"] && !strings.HasPrefix(name, "TestReliability") && name != "TestMain" {
			t.Errorf("the page does not name %s", name)
		}
	}
}

func hasRow(name string) bool {
	for _, r := range rows {
		if r.name == name {
			return true
		}
	}
	return false
}

// declaredTests finds the tests of the whole module.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	return declaredIn(t, "../..")
}

func declaredIn(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(content, -1) {
			found[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

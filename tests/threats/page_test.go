package threats

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// named is a test as the page names it: `folder/file_test.go#TestName`.
var named = regexp.MustCompile("`([A-Za-z0-9_./-]+_test\\.go)#((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// TestPage_NamesTestsThatExist checks every row of every table of threats: it names a test at least, and all that it names are there.
func TestPage_NamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows, threats := 0, false
	for line := range strings.Lines(string(page)) {
		switch {
		case strings.HasPrefix(line, "| threat |"):
			threats = true
		case !strings.HasPrefix(line, "|"):
			threats = false
		case threats && !strings.HasPrefix(line, "|---"):
			rows++
			check(t, strings.TrimSpace(line))
		}
	}
	if rows < 20 {
		t.Errorf("the page has %d rows", rows)
	}
}

func check(t *testing.T, row string) {
	t.Helper()
	found := named.FindAllStringSubmatch(row, -1)
	if len(found) == 0 {
		t.Errorf("no test: %s", row)
	}
	for _, m := range found {
		file, test := m[1], m[2]
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(content), "\nfunc "+test+"(") {
			t.Errorf("%s has no %s", file, test)
		}
	}
}

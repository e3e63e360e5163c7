package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSection_IsReplacedAndAllElseStays(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if kept, err := ReadOthers(page); err != nil || kept != nil {
		t.Errorf("of a page that is not there: got %q and %v", kept, err)
	}
	if err := os.WriteFile(page, []byte("# Page\n\nText.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go run . scale -pods 1", "go run . scale -pods 2"} {
		var section strings.Builder
		if err := (Report{Command: command, Rows: []Row{{Title: "A row", Measures: []Measure{measured(nil)}}}}).Section(&section); err != nil {
			t.Fatal(err)
		}
		text, err := ReplaceSection(page, []byte(section.String()))
		if err != nil {
			t.Fatal(err)
		}
		if want := "# Page\n\nText.\n\n" + section.String(); string(text) != want || !strings.Contains(want, command) {
			t.Errorf("got:\n%s\nwant:\n%s", text, want)
		}
		after := "\n<!-- written by hand -->\nAfter.\n"
		if err := os.WriteFile(page, append(text, after...), 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := ReadOthers(page); err != nil || string(kept) != section.String()+after {
			t.Errorf("read again: got %q and %v", kept, err)
		}
		if err := os.WriteFile(page, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMeasure_CountsAreWhole(t *testing.T) {
	t.Parallel()
	m := Measure{Whole: true}
	m.Add("a", 0)
	m.Add("b", 12_345)
	if a, b := m.figure(m.Series[0]), m.figure(m.Series[1]); a != "0" || b != "12,345" {
		t.Errorf("got %q and %q, want 0 and 12,345", a, b)
	}
}

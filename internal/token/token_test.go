package token

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFile_IsReplacedWithoutARefusal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "old\n")
	synctest.Test(t, func(t *testing.T) {
		registry, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name, content, first string
			held, refused        []string
		}{
			{"At first", "old\n", "old", []string{"old"}, []string{"", "new", "old\n", "ol"}},
			{"Both", "new\nold\n", "new", []string{"new", "old"}, []string{"", "new\nold"}},
			{"The new one alone", "new", "new", []string{"new"}, []string{"old"}},
			{"Empty for a moment", "", "new", []string{"new"}, []string{"", "old"}},
		} {
			write(t, path, step.content)
			time.Sleep(lookEvery)
			if got := registry.First(); got != step.first {
				t.Errorf("%s: the token to show is %q, want %q", step.name, got, step.first)
			}
			for _, token := range step.held {
				if !registry.Holds(token) {
					t.Errorf("%s: %q is refused", step.name, token)
				}
			}
			for _, token := range step.refused {
				if registry.Holds(token) {
					t.Errorf("%s: %q is accepted", step.name, token)
				}
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		if !registry.Holds("new") {
			t.Error("a file that is gone for a moment locks everybody out")
		}
	})
}

func TestOpen_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	write(t, path, " \n")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "is empty: write a token") {
		t.Errorf("an empty file: %v", err)
	}
}

func TestNew_IsNeverTheSame(t *testing.T) {
	t.Parallel()
	if a, b := New(), New(); a == b || len(a) < 26 {
		t.Errorf("got %q and %q", a, b)
	}
}

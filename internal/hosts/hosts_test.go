package hosts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

const want = mark + `[host."http://127.0.0.1:7439"]
  capabilities = ["pull", "resolve"]
`

func place(dir string) string { return filepath.Join(dir, "_default", "hosts.toml") }

func text(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func TestFile_Keep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		kept := make(chan error, 1)
		go func() { kept <- New(dir, "127.0.0.1:7439").Keep(ctx, logr.Discard()) }()
		synctest.Wait()
		if diff := cmp.Diff(want, text(t, place(dir))); diff != "" {
			t.Errorf("the file (-want +got):\n%s", diff)
		}
		if err := New(dir, "127.0.0.1:7439").Remove(); err != nil { // the pod before this one
			t.Fatal(err)
		}
		<-time.After(assertEvery)
		synctest.Wait()
		if text(t, place(dir)) != want {
			t.Error("the file was not written again")
		}
		stop()
		if err := <-kept; err != nil || text(t, place(dir)) != "" {
			t.Errorf("at the end: %v, and the file is %q", err, text(t, place(dir)))
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

func TestFile_LeavesWhatSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const theirs = "server = \"https://mirror.example\"\n"
	if err := os.MkdirAll(filepath.Dir(place(dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place(dir), []byte(theirs), 0o644); err != nil {
		t.Fatal(err)
	}
	f := New(dir, "127.0.0.1:7439")
	if err := f.Write(); !errors.Is(err, ErrForeign) {
		t.Errorf("Write() = %v", err)
	}
	if err := f.Remove(); err != nil || text(t, place(dir)) != theirs {
		t.Errorf("Remove() = %v, and the file is %q", err, text(t, place(dir)))
	}
}

func TestFile_WriteReplacesAnOlderOneOfLarder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, proxy := range []string{"127.0.0.1:1", "127.0.0.1:7439"} {
		if err := New(dir, proxy).Write(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, text(t, place(dir))); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
}

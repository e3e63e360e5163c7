package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

func TestSweep_P4_ByItselfAndThroughServe(t *testing.T) {
	t.Parallel()
	for name, served := range map[string]bool{"By itself": false, "Through larder serve": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			o.Push(t, "team/app:v1", origin.RandomImage(2, 64<<10))
			o.Push(t, "team/app:v2", origin.RandomImage(2, 64<<10))
			folder := workFolder(t, o)
			if served {
				serve := startServe(t, folder)
				defer func() {
					_ = serve.Process.Signal(syscall.SIGTERM)
					_ = serve.Wait()
				}()
			}
			for _, step := range []struct {
				args string
				exit int
				says string
			}{
				{"pull reg.test/team/app:v1 reg.test/team/app:v2", 0, "reg.test/team/app:v2: "},
				{"sweep --grace 0s", 0, "freed 0 B in 0 blobs, 0 manifests and 0 removed tags\n"},
				{"rm reg.test/team/app:v1", 0, "reg.test/team/app:v1: removed\n"},
				{"rm reg.test/team/app:v1 reg.test/team/none:v1", 1, "reg.test/team/none:v1: not stored, so there is nothing to remove\n"},
				{"sweep --dry-run --grace 0s", 0, "would free 13"},
				{"sweep", 0, "waiting: 13"},
				{"sweep", 0, "nothing to free yet"},
				{"sweep --grace 0s", 0, "in 4 blobs, 1 manifest and 1 removed tag\n"},
				{"sweep --grace 0s", 0, "freed 0 B"},
				{"sweep --dry-run --grace 0s", 0, "\nleft: 13"},
			} {
				exit, out, errOut := finish(t, folder, strings.Fields(step.args)...)
				if exit != step.exit || !strings.Contains(out, step.says) {
					t.Errorf("larder %s: exit %d, %q, %q; want %d and %q", step.args, exit, out, errOut, step.exit, step.says)
				}
			}
			exit, out, _ := finish(t, folder, "pull", "reg.test/team/app:v2")
			if exit != 0 || !strings.Contains(out, "(stored") {
				t.Errorf("the other image: exit %d, %q; want it stored still", exit, out)
			}
		})
	}
}

func TestSweep_AFolderThatIsNotThereIsNotMade(t *testing.T) {
	t.Parallel()
	folder := workFolder(t, origin.New(t))
	for _, args := range []string{"sweep --data mistyped", "rm --data mistyped postgres:15"} {
		exit, out, errOut := finish(t, folder, strings.Fields(args)...)
		if exit != 1 || !strings.Contains(errOut, "there is no folder mistyped: name the data folder of larder serve with --data") {
			t.Errorf("larder %s: exit %d, %q, %q", args, exit, out, errOut)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "mistyped")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v, want none", err)
	}
}

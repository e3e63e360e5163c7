//go:build unix

package folder_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/policy/folder"
	"golang.org/x/sys/unix"
)

// Opening a named pipe waits for whoever writes to it: a start that does would never end.
func TestFolder_ANamedPipeIsAMistakeAndBlocksNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"good.yaml": repository("good", "1h")})
	pipe := filepath.Join(dir, "a.yaml")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	objects, problems := load(t, folder.New(dir))
	if got, want := summary(objects), "good=1h"; got != want {
		t.Errorf("objects = %s, want %s", got, want)
	}
	if len(problems) != 1 || problems[0].File != pipe || !strings.Contains(problems[0].Reason, "not a file") {
		t.Errorf("problems = %v, want one, of %s: not a file", problems, pipe)
	}
}

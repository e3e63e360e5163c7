package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// usage is what a process has taken of the machine.
type usage struct {
	goroutines  int
	descriptors int
	memory      int64 // anonymous, in bytes: without the pages of files, which are the kernel's to drop
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB", u.goroutines, u.descriptors, float64(u.memory)/(1<<20))
}

func usageOf(t *testing.T, l *process.Larder) usage {
	t.Helper()
	_, body := l.GetHealth(t, "/metrics")
	text := string(body)
	return usage{
		goroutines:  int(value(t, text, "go_goroutines ")),
		descriptors: int(value(t, text, "process_open_fds ")),
		memory:      anonymous(t, l),
	}
}

// value finds the number that follows a name at the beginning of a line.
func value(t *testing.T, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			number, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatalf("reading %s: %v", name, err)
			}
			return number
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// anonymous asks the kernel. The process's number stands in the lock of its folder.
func anonymous(t *testing.T, l *process.Larder) int64 {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(l.Dir, "larder-data", "larder.lock"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join("/proc", string(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	return int64(value(t, string(status), "RssAnon:")) << 10
}

// atRest closes the idle connections to the origin and returns what is in use when nobody asks for anything; it waits until that
// is no more than the bound.
func atRest(t *testing.T, o *origin.Origin, l *process.Larder, bound usage) usage {
	t.Helper()
	o.Refuse()
	o.Heal()
	var now usage
	process.Eventually(t, fmt.Sprintf("at most %s", bound), func() bool {
		now = usageOf(t, l)
		return now.goroutines <= bound.goroutines && now.descriptors <= bound.descriptors && now.memory <= bound.memory
	})
	return now
}

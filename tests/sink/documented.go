package sink

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func typeOf(kind string) string { return "dev.larder.image." + kind + ".v1" }

func kindOf(eventType string) string {
	return strings.TrimSuffix(strings.TrimPrefix(eventType, "dev.larder.image."), ".v1")
}

var row = regexp.MustCompile("(?m)^\\| `(dev\\.larder\\.image\\.[^`]*)` \\| `([A-Za-z]*)` \\| ")

// Documented reads the table of a page, docs/events.md: the reason of Kubernetes' event by the kind of the CloudEvent.
func Documented(t testing.TB, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		reasons[kindOf(found[1])] = found[2]
	}
	if lines := strings.Count(string(text), "\n| `dev.larder.image."); len(reasons) == 0 || len(reasons) != lines {
		t.Fatalf("%s has %d lines of events, and %d could be read", page, lines, len(reasons))
	}
	return reasons
}

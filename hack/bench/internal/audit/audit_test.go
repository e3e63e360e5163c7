package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
)

const (
	patch = `{"kind":"Event","stage":"ResponseComplete","verb":"patch","user":{"username":"system:serviceaccount:n:u"},"userAgent":"a/1",` +
		`"objectRef":{"resource":"cachedimages","subresource":"status","name":"n"},"responseStatus":{"code":200}}`
	list = `{"verb":"list","user":{"username":"u"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`
)

func TestLog_ReturnsEachRequestOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	log := audit.Open(path)
	want := []audit.Request{{User: "u", Agent: "a/1", Verb: "patch", Resource: "cachedimages/status", Name: "n", Code: 200}}
	for _, step := range []struct {
		added string
		want  []audit.Request
	}{
		{"", nil},
		{patch + "\n" + list[:10], want}, // the second line is being written
		{list[10:] + "\n", []audit.Request{{User: "u", Verb: "list", Resource: "pods", Code: 200}}},
		{"", nil},
	} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(step.added); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := log.Next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", step.added, diff)
		}
	}
	if !want[0].Write() || (audit.Request{Verb: "watch"}).Write() {
		t.Error("a patch is a write, a watch is none")
	}
}

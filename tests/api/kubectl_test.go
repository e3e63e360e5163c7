package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifest is an object as a person writes it, its spec in one line.
func manifest(kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: larder.dev/v1alpha1\nkind: %s\nmetadata: {name: %q}\nspec: %s\n", kind, name, spec)
}

// apply has kubectl apply a manifest, and returns what it says.
func apply(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "object.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return cluster.Kubectl(t, append([]string{"apply", "-f", file}, args...)...)
}

// applied applies a manifest that is right, and deletes the object when the test ends.
func applied(t *testing.T, kind, name, spec string) {
	t.Helper()
	if out, err := apply(t, manifest(kind, name, spec)); err != nil {
		t.Fatalf("applying %s: %s", spec, out)
	}
	t.Cleanup(func() { deleted(t, kind, name) })
}

// kubectl runs what must succeed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), out)
	}
	return out
}

package chart

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// run runs Helm with folders of its own, and returns what it says.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), helm, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// try renders the chart, with further flags.
func try(t *testing.T, flags ...string) (text, problem string, err error) {
	t.Helper()
	return run(t, append([]string{"template", release, folder, "--namespace", namespace}, flags...)...)
}

// render renders the chart under a value set.
func render(t *testing.T, set string) string {
	t.Helper()
	text, problem, err := try(t, "--values", file(set))
	if err != nil {
		t.Fatalf("%v\n%s", err, problem)
	}
	return text
}

// sets are the names of the value sets.
func sets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(file("*"))
	if err != nil || len(files) < 8 {
		t.Fatalf("there are %d value sets (%v)", len(files), err)
	}
	for i, name := range files {
		files[i] = strings.TrimSuffix(filepath.Base(name), ".yaml")
	}
	return files
}

func file(set string) string { return filepath.Join("testdata", "values", set+".yaml") }

// objects are what a rendered chart holds.
type objects []*unstructured.Unstructured

func parse(t *testing.T, text string) objects {
	t.Helper()
	var all objects
	for documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		err := documents.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
}

// find returns the one object of a kind and name; nil where there is none.
func (o objects) find(kind, name string) *unstructured.Unstructured {
	for _, object := range o {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	return nil
}

// into makes a typed object of one that was rendered.
func into[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	if object == nil {
		t.Fatal("it is not rendered")
	}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return typed
}

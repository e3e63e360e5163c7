package rewrite_test

import (
	_ "embed"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	app "github.com/larder-dev/larder/internal/app/rewrite"
	"github.com/larder-dev/larder/internal/rewrite"
)

// run answers on a text from standard input.
func run(t *testing.T, text string) (out, remarks string, err error) {
	t.Helper()
	rules, problems := rewrite.NewRules("localhost:7439", "", rewrite.Config{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var answer, others strings.Builder
	err = app.Run(app.Options{
		Files: []string{"-"}, Namespace: "default", Rules: rules, In: strings.NewReader(text), Out: &answer, Remarks: &others,
	})
	return answer.String(), others.String(), err
}

//go:embed testdata/manifests.yaml
var manifests string

//go:embed testdata/answer.txt
var answer string

func TestRun(t *testing.T) {
	t.Parallel()
	out, remarks, err := run(t, manifests)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answer, out); diff != "" {
		t.Errorf("testdata/answer.txt (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"standard input:40: Service is passed over: it has no pod template that Larder knows",
		"standard input:56: Job is passed over",
		"a namespace's label larder.dev/image-caching-policy=ignore leaves its pods alone",
	} {
		if !strings.Contains(remarks, want) {
			t.Errorf("%q does not say %q", remarks, want)
		}
	}
}

func TestRun_SaysWhatIsWrongWhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"No YAML":         {"kind: Pod\nspec:\n  containers: [", "standard input:3: "},
		"A tab":           {"kind: Pod\nspec:\n\tcontainers: []", "standard input:3: "},
		"A key twice":     {"kind: Pod\nkind: Pod", "standard input:2: "},
		"No kind":         {"# nothing\na: b", "standard input:2: the kind is missing: write whole manifests"},
		"No object":       {"- kind: Pod", "standard input:1: write a mapping"},
		"Not an object":   {"kind: List\nitems:\n- kind: Pod\n- a", "standard input:4: items[1]: write an object"},
		"No template":     {"kind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 1", "standard input:3: the Deployment has no pod template: write one"},
		"A wrong type":    {"kind: Pod\nspec:\n  containers:\n  - name: a\n    image: 1", "spec.containers.image: a number: write a string"},
		"One in a List":   {"kind: List\nitems:\n- kind: Pod\n  metadata:\n    labels: a", "standard input:5: metadata.labels: a string: write a map"},
		"Nothing":         {"", "no pod and no workload in the files: write Pods"},
		"Nothing of ours": {"kind: Service\napiVersion: v1", "no pod and no workload in the files: write Pods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, err := run(t, test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) || out != "" {
				t.Errorf("got %q and the error %v, want one that says %q", out, err, test.want)
			}
		})
	}
}

func TestRun_MissingFile(t *testing.T) {
	t.Parallel()
	err := app.Run(app.Options{Files: []string{filepath.Join(t.TempDir(), "pod.yaml")}})
	if err == nil || !strings.Contains(err.Error(), "pod.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}

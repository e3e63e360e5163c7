package events

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const page = "../../docs/events.md"

// example returns the first block of a language on the page that has a text.
func example(t *testing.T, language, text string) string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(content), "\n```"+language+"\n")[1:] {
		if block, _, _ = strings.Cut(block, "\n```"); strings.Contains(block, text) {
			return block
		}
	}
	t.Fatalf("%s has no %s with %q", page, language, text)
	return ""
}

// object is any of JSON.
type object = map[string]any

// sent is a change as a sink gets it.
func sent(t *testing.T, c Change) (e object) {
	t.Helper()
	content, err := c.encode("/larder/larder-system", c.At.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDocs_TheExampleIsWhatIsSent(t *testing.T) {
	t.Parallel()
	var shown object
	if err := json.Unmarshal([]byte(example(t, "json", "specversion")), &shown); err != nil {
		t.Fatal(err)
	}
	data, _ := shown["data"].(object)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Change{Kind: Moved, ID: ID("any"), Image: image, Digest: "sha256:2c5a…", Previous: "sha256:54ca…", At: at}
	got := sent(t, c)
	if len(shown["id"].(string)) != len(c.ID) {
		t.Errorf("the id %v is not as long as one is", shown["id"])
	}
	shown["id"] = c.ID
	if diff := cmp.Diff(shown, got); diff != "" {
		t.Errorf("the example is not what is sent (-shown +sent):\n%s", diff)
	}
	if len(data) != 3 {
		t.Errorf("the example has the data %v", data)
	}
}

// listener is what Tekton reads of the example: https://tekton.dev/docs/triggers/eventlisteners/. Its API server takes unknown fields.
type listener struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		ServiceAccountName string    `json:"serviceAccountName"`
		Triggers           []trigger `json:"triggers"`
	} `json:"spec"`
}

type trigger struct {
	Name         string `json:"name"`
	Interceptors []struct {
		Ref    param   `json:"ref"`
		Params []param `json:"params"`
	} `json:"interceptors"`
	Bindings []param `json:"bindings"`
	Template struct {
		Spec struct {
			Params            []param  `json:"params"`
			ResourceTemplates []object `json:"resourcetemplates"`
		} `json:"spec"`
	} `json:"template"`
}

type param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

var (
	bodyPath  = regexp.MustCompile(`body((?:\.\w+)+)`)
	condition = regexp.MustCompile(`^body((?:\.\w+)+) == '([^']*)'$`)
	reference = regexp.MustCompile(`\$\(tt\.params\.(\w+)\)`)
)

// A sink that is Tekton's runs the example on what is sent: what is filtered for, and what is taken out, is there, and where it is used.
func TestDocs_TektonsExampleReadsWhatIsSent(t *testing.T) {
	t.Parallel()
	var l listener
	if err := yaml.UnmarshalStrict([]byte(example(t, "yaml", "kind: EventListener")), &l); err != nil {
		t.Fatal(err)
	}
	if l.APIVersion != "triggers.tekton.dev/v1beta1" || len(l.Spec.Triggers) != 1 || l.Spec.ServiceAccountName == "" {
		t.Fatalf("the listener is %+v", l)
	}
	if sink := example(t, "yaml", "  sink: "); !strings.Contains(sink, "http://el-"+l.Metadata.Name+"."+l.Metadata.Namespace+".svc:8080") {
		t.Errorf("the sink is not where that listener is:\n%s", sink)
	}
	body := sent(t, Change{Kind: Mirrored, ID: ID("any"), Image: image, Digest: "sha256:b", Bytes: 7, At: time.Now()})
	one := l.Spec.Triggers[0]
	filter := one.Interceptors[0].Params[0]
	if one.Interceptors[0].Ref.Name != "cel" || filter.Name != "filter" {
		t.Fatalf("the filter is %+v", one.Interceptors)
	}
	for term := range strings.SplitSeq(filter.Value, " && ") {
		found := condition.FindStringSubmatch(term)
		if found == nil || lookUp(body, found[1]) != found[2] {
			t.Errorf("%s does not hold of %v", term, body)
		}
	}
	bound := map[string]string{}
	for _, b := range one.Bindings {
		found := bodyPath.FindStringSubmatch(b.Value)
		if found == nil || lookUp(body, found[1]) == "" {
			t.Errorf("%s is nowhere in %v", b.Value, body)
			continue
		}
		bound[b.Name] = lookUp(body, found[1])
	}
	if diff := cmp.Diff(map[string]string{"base": image, "digest": "sha256:b"}, bound); diff != "" {
		t.Errorf("what is bound (-want +got):\n%s", diff)
	}
	declared := map[string]string{}
	for _, p := range one.Template.Spec.Params {
		declared[p.Name] = bound[p.Name]
	}
	made, err := json.Marshal(one.Template.Spec.ResourceTemplates)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for _, found := range reference.FindAllStringSubmatch(string(made), -1) {
		used[found[1]] = bound[found[1]]
	}
	if !maps.Equal(used, declared) || slices.Contains(slices.Collect(maps.Values(used)), "") {
		t.Errorf("the template declares %v and uses %v of %v", declared, used, bound)
	}
}

// lookUp returns the text at a path such as .data.image; empty where there is none.
func lookUp(o object, path string) string {
	var at any = o
	for key := range strings.SplitSeq(path[1:], ".") {
		within, _ := at.(object)
		at = within[key]
	}
	text, _ := at.(string)
	return text
}

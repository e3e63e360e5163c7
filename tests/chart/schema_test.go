package chart

import (
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// schema is what is looked at of values.schema.json.
type schema struct {
	Description string
	Additional  any `json:"additionalProperties"`
	Properties  map[string]schema
}

// Editors show what the schema says of a value, the README what the comment does: they are the same. What has keys refuses others.
func TestSchema_SaysWhatTheCommentsDo(t *testing.T) {
	t.Parallel()
	var s schema
	if err := json.Unmarshal([]byte(read(t, "values.schema.json")), &s); err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, "values.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	compare(t, "values", s, document.Content[0])
}

func compare(t *testing.T, path string, s schema, values *yaml.Node) {
	t.Helper()
	if s.Additional != false {
		t.Errorf("%s: the schema takes any key", path)
	}
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		at := path + "." + key.Value
		property, ok := s.Properties[key.Value]
		if !ok {
			t.Errorf("%s is not in the schema", at)
			continue
		}
		_, comment, described := strings.Cut(strings.ReplaceAll(key.HeadComment, "\n# ", " "), "# -- ")
		if comment != property.Description {
			t.Errorf("%s: the comment says %q, the schema %q", at, comment, property.Description)
		}
		if !described {
			compare(t, at, property, value)
		}
	}
}

package strictyaml

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// checker walks a document and the Go type behind it side by side.
type checker struct {
	problems []Problem
}

func check(root *yaml.Node, into any) []Problem {
	var c checker
	c.value(root, reflect.TypeOf(into), "")
	return c.problems
}

func (c *checker) report(node *yaml.Node, path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Line: node.Line, Field: path, Reason: fmt.Sprintf(format, args...)})
}

func (c *checker) value(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isNull(node) || reflect.PointerTo(t).Implements(unmarshaler) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.structure(node, t, path)
	case reflect.Map:
		c.mapping(node, t, path)
	case reflect.Slice:
		c.sequence(node, t, path)
	case reflect.Interface:
	default:
		c.scalar(node, t, path)
	}
}

func (c *checker) structure(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind != yaml.MappingNode {
		c.report(node, path, "write a mapping with any of %s", strings.Join(keys(t), ", "))
		return
	}
	for key, value := range pairs(node) {
		if isMerge(key) {
			c.merge(value, t, path)
			continue
		}
		field, ok := fieldNamed(t, key.Value)
		if !ok {
			c.report(key, join(path, key.Value), "unknown key: write one of %s", strings.Join(keys(t), ", "))
			continue
		}
		c.value(value, field.Type, join(path, key.Value))
	}
}

func (c *checker) mapping(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind != yaml.MappingNode {
		c.report(node, path, "write a mapping")
		return
	}
	for key, value := range pairs(node) {
		switch {
		case isMerge(key):
			c.merge(value, t, path)
		case key.ShortTag() != "!!str":
			c.report(key, join(path, key.Value), "the key is not a string: quote it")
		default:
			c.value(value, t.Elem(), join(path, key.Value))
		}
	}
}

// merge checks what "<<" brings in: a mapping, or several.
func (c *checker) merge(value *yaml.Node, t reflect.Type, path string) {
	if value.Kind != yaml.SequenceNode {
		c.value(value, t, path)
		return
	}
	for _, node := range value.Content {
		c.value(node, t, path)
	}
}

func (c *checker) sequence(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind != yaml.SequenceNode {
		c.report(node, path, "write a list, also for a single entry: [%s]", node.Value)
		return
	}
	for i, entry := range node.Content {
		c.value(entry, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) scalar(node *yaml.Node, t reflect.Type, path string) {
	tags, want := expected(t.Kind())
	switch {
	case node.Kind == yaml.ScalarNode && slices.Contains(tags, node.ShortTag()):
	case node.Kind == yaml.ScalarNode && t.Kind() == reflect.String:
		c.report(node, path, "%s is not a string: quote it, %q", node.Value, node.Value)
	default:
		c.report(node, path, "write %s", want)
	}
}

// expected tells the YAML tags that fit a kind, and their name.
func expected(kind reflect.Kind) (tags []string, name string) {
	switch kind {
	case reflect.String:
		return []string{"!!str"}, "a string"
	case reflect.Bool:
		return []string{"!!bool"}, "true or false"
	case reflect.Float32, reflect.Float64:
		return []string{"!!float", "!!int"}, "a number"
	default:
		return []string{"!!int"}, "a whole number"
	}
}

package strictyaml

import (
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func isMerge(key *yaml.Node) bool { return key.ShortTag() == "!!merge" }

// pairs iterates over a mapping's keys and values.
func pairs(mapping *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		for pair := range slices.Chunk(mapping.Content, 2) {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

// keys lists the keys of a struct type, those of its inlined structs included.
func keys(t reflect.Type) []string {
	var names []string
	for field := range fields(t) {
		names = append(names, keyOf(field))
	}
	return names
}

func fieldNamed(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range fields(t) {
		if keyOf(field) == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

// fields iterates over the fields of a struct type that JSON knows.
func fields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for _, field := range reflect.VisibleFields(t) {
			key := keyOf(field)
			if key == "" || key == "-" || !inlinedIn(t, field.Index) {
				continue
			}
			if !yield(field) {
				return
			}
		}
	}
}

// inlinedIn says whether every struct on the way to a field is inlined: a named one has its fields under its own key.
func inlinedIn(t reflect.Type, index []int) bool {
	for depth := 1; depth < len(index); depth++ {
		if keyOf(t.FieldByIndex(index[:depth])) != "" {
			return false
		}
	}
	return true
}

func keyOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// splitPath splits "spec.updateFilters[1]" into "spec", "updateFilters" and "1".
func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// descend finds an entry of a mapping or a list; key is where it begins.
func descend(node *yaml.Node, step string) (key, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for key, value := range pairs(node) {
			if key.Value == step {
				return key, value
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && 0 <= i && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

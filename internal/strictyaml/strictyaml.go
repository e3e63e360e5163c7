// Package strictyaml reads YAML that people write. It accepts only what the Go type behind it knows, and tells for each thing
// that is wrong its line, its field and what to write instead. It reads no files and knows no kinds.
package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
)

// Problem is one thing that is wrong in a YAML text.
type Problem struct {
	Line   int    // in the text, from 1; 0 where it is not known
	Field  string // "spec.updateFilters[1]"; empty for what concerns the text as a whole
	Reason string // what is wrong, and where possible what to write
}

// Error says what is wrong where.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Reason
}

// Document is one document of a YAML text.
type Document struct {
	root *yaml.Node
}

// Parse splits a text into its documents and leaves out the empty ones. Where the text is not YAML, it returns the
// documents before that and the problem.
func Parse(text []byte) ([]Document, []Problem) {
	var documents []Document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, located(text, syntaxProblems(err))
		}
		if len(node.Content) > 0 && !isNull(node.Content[0]) {
			documents = append(documents, Document{node.Content[0]})
		}
	}
}

// maxLocated bounds a text in which the line of a mistake is looked for: that reads the text once a line.
const maxLocated = 16 << 10

// located puts the line where the text breaks into its one problem. The library tells the line where the block around it begins, or
// the one before.
func located(text []byte, problems []Problem) []Problem {
	if len(text) <= maxLocated && len(problems) == 1 {
		problems[0].Line = brokenLine(text)
	}
	return problems
}

// brokenLine returns the first line behind the longest beginning of a text that is YAML by itself.
func brokenLine(text []byte) int {
	for {
		end := bytes.LastIndexByte(text, '\n')
		if end < 0 {
			return 1
		}
		if isYAML(text[:end+1]) {
			return bytes.Count(text[:end+1], []byte("\n")) + 1
		}
		text = text[:end]
	}
}

func isYAML(text []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// Line returns the line where the document begins.
func (d Document) Line() int { return d.root.Line }

// LineOf returns the line of a field such as "spec.updateFilters[1]", or of the innermost one around it that is there. It is 0
// for the zero Document.
func (d Document) LineOf(field string) int {
	if d.root == nil {
		return 0
	}
	node, line := d.root, d.root.Line
	for _, step := range splitPath(field) {
		key, child := descend(node, step)
		if child == nil {
			break
		}
		node, line = child, key.Line
	}
	return line
}

// Decode reads the document into a pointer to a struct, by its json tags. Keys that the struct does not have, keys that occur
// twice, and values of another type than the field's are problems. What into holds is to be used only if there are none.
func (d Document) Decode(into any) []Problem {
	var value any
	if err := d.root.Decode(&value); err != nil { // first: it also refuses aliases that explode
		return syntaxProblems(err)
	}
	if problems := check(d.root, into); len(problems) > 0 {
		return problems
	}
	text, err := json.Marshal(value)
	if err != nil {
		return []Problem{{Line: d.Line(), Reason: err.Error()}}
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, into); err != nil {
		return []Problem{{Line: d.Line(), Reason: strings.TrimPrefix(err.Error(), "json: ")}}
	}
	return nil
}

// Scalar returns the text of a field such as "metadata.name", or "" where it is none or a whole structure. It finds out what
// kind of document one has, before Decode.
func (d Document) Scalar(field string) string {
	node := d.root
	for _, step := range splitPath(field) {
		if _, node = descend(node, step); node == nil {
			return ""
		}
	}
	return node.Value
}

var lineRegexp = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): (?s:(.*))$`)

// syntaxProblems takes the lines out of the YAML library's messages.
func syntaxProblems(err error) []Problem {
	messages := []string{err.Error()}
	if typeError, ok := errors.AsType[*yaml.TypeError](err); ok {
		messages = typeError.Errors
	}
	problems := make([]Problem, 0, len(messages))
	for _, message := range messages {
		p := Problem{Reason: strings.TrimPrefix(message, "yaml: ")}
		if match := lineRegexp.FindStringSubmatch(message); match != nil {
			p.Line, _ = strconv.Atoi(match[1]) // digits only
			p.Reason = match[2]
		}
		problems = append(problems, p)
	}
	return problems
}

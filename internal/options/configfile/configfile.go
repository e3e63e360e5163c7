// Package configfile reads the configuration files that people write, strictly: everything wrong in one is told at once, each with its
// line and what to write instead. It knows the entries that several processes have, registries, and leaves the rest to them.
package configfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/larder-dev/larder/internal/strictyaml"
)

// Read returns a file's text; it is empty where the file is missing and not required.
func Read(path string, required bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the configuration file: %w", err)
	}
	return text, nil
}

// Reader reads one configuration file and collects what is wrong with it.
type Reader struct {
	path     string
	document strictyaml.Document
	problems []strictyaml.Problem
}

// New returns a reader of the file at path, which it does not open.
func New(path string) *Reader { return &Reader{path: path} }

// Decode reads a file's text strictly into a struct.
func (r *Reader) Decode(text []byte, into any) {
	documents, problems := strictyaml.Parse(text)
	switch {
	case len(problems) > 0 || len(documents) == 0:
	case len(documents) > 1:
		problems = []strictyaml.Problem{{Line: documents[1].Line(), Reason: "a second document: write a single one"}}
	default:
		r.document = documents[0]
		problems = r.document.Decode(into)
	}
	r.problems = append(r.problems, problems...)
}

// Report notes what is wrong with a field, such as "registries[0].host".
func (r *Reader) Report(field, format string, args ...any) {
	r.problems = append(r.problems,
		strictyaml.Problem{Line: r.document.LineOf(field), Field: field, Reason: fmt.Sprintf(format, args...)})
}

// Err returns all that is wrong, in the order of its lines, each worded as "larder.yaml:4: registries[0].host: ...".
func (r *Reader) Err() error {
	slices.SortStableFunc(r.problems, func(a, b strictyaml.Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, 0, len(r.problems))
	for _, p := range r.problems {
		where := r.path
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, p.Line)
		}
		if p.Field != "" {
			where += ": " + p.Field
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, p.Reason))
	}
	return errors.Join(errs...)
}

// Relative resolves a path against the folder of the configuration file.
func (r *Reader) Relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.path), path)
}

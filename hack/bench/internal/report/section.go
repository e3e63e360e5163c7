package report

import (
	"bytes"
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"os"
)

// The section about scale is a run of its own, in the same page as the others'.
const (
	sectionBegin = "<!-- written by: go run . scale -->\n"
	sectionEnd   = "<!-- end of: go run . scale -->\n"
)

//go:embed scale.md.tmpl
var section string

// Section writes the report as the page's section about scale.
func (r Report) Section(w io.Writer) error {
	if _, err := io.WriteString(w, sectionBegin); err != nil {
		return err
	}
	if err := r.fill(w, section, ""); err != nil {
		return err
	}
	_, err := io.WriteString(w, sectionEnd)
	return err
}

// ReadOthers returns the end of a page that Markdown did not write, from the first section that begins with a comment on who did; nothing where
// there is none.
func ReadOthers(page string) ([]byte, error) {
	text, err := os.ReadFile(page)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if i := bytes.Index(text, []byte("<!-- written by")); i >= 0 {
		return text[i:], err
	}
	return nil, err
}

// ReplaceSection returns a page with another section about scale: in its place, else at the end.
func ReplaceSection(page string, section []byte) ([]byte, error) {
	before, _, after, err := split(page)
	return bytes.Join([][]byte{before, section, after}, nil), err
}

func split(page string) (before, section, after []byte, err error) {
	text, err := os.ReadFile(page)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	before, rest, found := bytes.Cut(text, []byte(sectionBegin))
	inner, after, ended := bytes.Cut(rest, []byte(sectionEnd))
	if !found || !ended {
		return append(bytes.TrimRight(text, "\n"), "\n\n"...), nil, nil, nil
	}
	return before, bytes.Join([][]byte{[]byte(sectionBegin), inner, []byte(sectionEnd)}, nil), after, nil
}

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

// ReadSection returns the section about scale of a page, as it was written last; nothing where there is none.
func ReadSection(page string) ([]byte, error) {
	_, section, _, err := split(page)
	return section, err
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

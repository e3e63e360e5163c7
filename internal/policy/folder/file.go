package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/strictyaml"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The kinds that a folder may hold.
const (
	kindRepository  = "Repository"
	kindCachedImage = "CachedImage"
)

// key names an object among those of a folder.
type key struct {
	kind, name string
}

// manifest is one object of a file.
type manifest struct {
	key
	object metav1.Object
	file   string
	line   int
}

// file is what is known of one file.
type file struct {
	path     string
	defaults policy.Defaults // what Repositories inherit
	text     []byte
	failure  string     // why it could not be read, if so
	hadGood  bool       // whether a version was without problems
	good     []manifest // of the last such version
	problems []Problem  // of the current version
}

// read brings the file up to date and says whether it changed. An error is a file that is not there; one that is there and cannot
// be read has a problem.
func (f *file) read() (changed bool, err error) {
	text, err := readLimited(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if f.text != nil && failure == f.failure && bytes.Equal(text, f.text) {
		return false, nil
	}
	f.text, f.failure = text, failure
	if failure != "" {
		f.problems = []Problem{{File: f.path, Reason: failure}}
		return true, nil
	}
	manifests, problems := parse(f.path, text, f.defaults)
	if f.problems = problems; len(problems) == 0 {
		f.good, f.hadGood = manifests, true
	}
	return true, nil
}

// reported returns the problems, with what is in force meanwhile.
func (f *file) reported() []Problem {
	instead := Nothing
	if f.hadGood {
		instead = LastGood
	}
	reported := slices.Clone(f.problems)
	for i := range reported {
		reported[i].Instead = instead
	}
	return reported
}

// readLimited returns a file's text, never nil: empty beside an error. It waits for nobody to open the other end of a pipe.
func readLimited(path string) ([]byte, error) {
	handle, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return []byte{}, fmt.Errorf("opening the manifest: %w", err)
	}
	defer func() { _ = handle.Close() }() // it was only read
	info, err := handle.Stat()
	if err != nil {
		return []byte{}, fmt.Errorf("opening the manifest: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileSize {
		return []byte{}, fmt.Errorf("not a file of at most %d MiB", maxFileSize>>20)
	}
	text, err := io.ReadAll(io.LimitReader(handle, maxFileSize))
	if err != nil {
		return []byte{}, fmt.Errorf("reading the manifest: %w", err)
	}
	return text, nil
}

func parse(path string, text []byte, defaults policy.Defaults) ([]manifest, []Problem) {
	documents, problems := strictyaml.Parse(text)
	found := inFile(path, problems)
	manifests := make([]manifest, 0, len(documents))
	seen := map[key]bool{}
	for _, document := range documents {
		m, problems := parseDocument(document, defaults)
		if len(problems) == 0 && seen[m.key] {
			problems = []strictyaml.Problem{{Line: document.LineOf("metadata.name"), Field: "metadata.name",
				Reason: fmt.Sprintf("a second %s of the name %s: rename or remove one of them", m.kind, m.name)}}
		}
		seen[m.key] = true
		found = append(found, inFile(path, problems)...)
		m.file, m.line = path, document.Line()
		manifests = append(manifests, m)
	}
	return manifests, found
}

func inFile(path string, problems []strictyaml.Problem) []Problem {
	var found []Problem
	for _, p := range problems {
		found = append(found, Problem{File: path, Line: p.Line, Field: p.Field, Reason: p.Reason})
	}
	return found
}

func parseDocument(document strictyaml.Document, defaults policy.Defaults) (manifest, []strictyaml.Problem) {
	apiVersion, kind := document.Scalar("apiVersion"), document.Scalar("kind")
	if want := v1alpha1.GroupVersion.String(); apiVersion != want {
		return manifest{}, problemAt(document, "apiVersion", fmt.Sprintf("%q: write %s", apiVersion, want))
	}
	switch kind {
	case kindRepository:
		object := &v1alpha1.Repository{}
		return decode(document, kind, object, func() field.ErrorList { return policy.CheckRepository(object, defaults) })
	case kindCachedImage:
		object := &v1alpha1.CachedImage{}
		return decode(document, kind, object, func() field.ErrorList { return policy.CheckCachedImage(object) })
	}
	return manifest{}, problemAt(document, "kind", fmt.Sprintf("%q: write %s or %s", kind, kindRepository, kindCachedImage))
}

func problemAt(document strictyaml.Document, path, reason string) []strictyaml.Problem {
	return []strictyaml.Problem{{Line: document.LineOf(path), Field: path, Reason: reason}}
}

func decode(document strictyaml.Document, kind string, object metav1.Object, check func() field.ErrorList) (manifest, []strictyaml.Problem) {
	if problems := document.Decode(object); len(problems) > 0 {
		return manifest{}, problems
	}
	var problems []strictyaml.Problem
	for _, err := range append(checkName(object.GetName()), check()...) {
		problems = append(problems, problemAt(document, err.Field, err.ErrorBody())...)
	}
	// The files' order decides between objects, also where one was exported from a cluster.
	object.SetCreationTimestamp(metav1.Time{})
	return manifest{key: key{kind, object.GetName()}, object: object}, problems
}

func checkName(name string) field.ErrorList {
	path := field.NewPath("metadata", "name")
	if name == "" {
		return field.ErrorList{field.Required(path, "write a name for the object")}
	}
	if reasons := validation.IsDNS1123Subdomain(name); len(reasons) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(reasons, "; "))}
	}
	return nil
}

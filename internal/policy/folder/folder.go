// Package folder reads Repositories and CachedImages from a folder of YAML files, in the form that kubectl apply takes, and follows
// its changes. A file with a mistake is reported and its last good version stays in force. The package decides nothing
// and writes nothing.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

const (
	// settle is how long a change waits for the ones that belong to it.
	settle = 100 * time.Millisecond
	// resync is how often the folder is read without an event: some file systems (NFS, some bind mounts) report none.
	resync = 10 * time.Second
	// poll is how often it is read where the system gives no watch (inotify's limits).
	poll = time.Second
	// maxFileSize keeps a file that is no manifest from being read whole.
	maxFileSize = 4 << 20
)

// Objects are what a folder asks for, in the order of its files' names.
type Objects struct {
	Repositories []v1alpha1.Repository
	CachedImages []v1alpha1.CachedImage
	sources      map[key]string
}

// Source tells where an object stands, as "file:line"; "" for one that is not in the folder.
func (o Objects) Source(kind, name string) string { return o.sources[key{kind, name}] }

// Problem is something wrong with a file.
type Problem struct {
	File   string // its path
	Line   int    // from 1; 0 where it is not known
	Field  string // "spec.updateFilters[1]"; empty for what concerns the file, or a document, as a whole
	Reason string // what is wrong, and where possible what to write

	Instead Instead // what is in force in the place of the file
}

// Instead says what is in force in the place of a file that has a problem.
type Instead int

// What is in force instead.
const (
	Unsaid   Instead = iota // the problem is not the file's alone: the rest of it is in force
	Nothing                 // the file never was without problems
	LastGood                // its last version that was
)

// Error says what is wrong where.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	return b.String() + ": " + p.Reason
}

// Folder reads one folder: its .yaml, .yml and .json files, not those of its subfolders, nor hidden ones. It remembers the last
// good version of each file. It is for one goroutine at a time.
type Folder struct {
	dir      string
	required bool
	defaults policy.Defaults
	files    map[string]*file
	problem  string // with the folder itself
}

// Option configures a Folder.
type Option func(*Folder)

// Required makes it an error for Load, and later a problem, if the folder does not exist. Without it, such a folder is empty.
func Required() Option { return func(f *Folder) { f.required = true } }

// WithDefaults tells what Repositories inherit, so that one that does not fit it is a mistake too.
func WithDefaults(d policy.Defaults) Option { return func(f *Folder) { f.defaults = d } }

// New returns a Folder. It reads nothing yet.
func New(dir string, options ...Option) *Folder {
	f := &Folder{dir: filepath.Clean(dir), files: map[string]*file{}}
	for _, option := range options {
		option(f)
	}
	return f
}

// Load reads the folder. A mistake in a file is a problem; an error is a folder that cannot be read at all.
func (f *Folder) Load() (Objects, []Problem, error) {
	if _, err := f.read(); err != nil {
		return Objects{}, nil, err
	}
	objects, problems := f.merge()
	return objects, problems, nil
}

// Watch follows the folder until the context ends. It calls onChange, never twice at a time, with all that the folder asks
// for after each change since the last Load or call: within a second of the change where the file system reports changes,
// else within some ten seconds. The folder may be missing, come, go and be replaced.
func (f *Folder) Watch(ctx context.Context, onChange func(Objects, []Problem)) {
	w := newWatcher(f.dir)
	defer w.close()
	for {
		w.follow()
		if f.refresh() {
			onChange(f.merge())
		}
		if !w.wait(ctx) {
			return
		}
	}
}

// refresh reads the folder and says whether anything changed. While the folder cannot be read, what it held stays in force.
func (f *Folder) refresh() bool {
	changed, err := f.read()
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	changed = changed || problem != f.problem
	f.problem = problem
	return changed
}

// read brings files up to date with the disk and says whether any changed.
func (f *Folder) read() (changed bool, err error) {
	paths, err := f.list()
	if err != nil {
		return false, err
	}
	found := make(map[string]bool, len(paths))
	for _, path := range paths {
		known := f.files[path]
		if known == nil {
			known = &file{path: path, defaults: f.defaults}
		}
		fresh, err := known.read()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found[path] = true
		f.files[path] = known
		changed = changed || fresh
	}
	before := len(f.files)
	maps.DeleteFunc(f.files, func(path string, _ *file) bool { return !found[path] })
	return changed || len(f.files) != before, nil
}

// list returns the paths of the manifests in the folder, sorted.
func (f *Folder) list() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) && !f.required {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the folder of manifests: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		if !entry.IsDir() && isManifest(entry.Name()) {
			paths = append(paths, filepath.Join(f.dir, entry.Name()))
		}
	}
	return paths, nil
}

func isManifest(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// merge puts the files together, in the order of their names: the first of two objects of one kind and name counts.
func (f *Folder) merge() (Objects, []Problem) {
	objects := Objects{sources: map[key]string{}}
	var problems []Problem
	if f.problem != "" {
		problems = append(problems, Problem{File: f.dir, Reason: f.problem + "; what it held stays in force"})
	}
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		file := f.files[path]
		problems = append(problems, file.reported()...)
		for _, m := range file.good {
			if p := objects.add(m); p != nil {
				problems = append(problems, *p)
			}
		}
	}
	return objects, problems
}

func (o *Objects) add(m manifest) *Problem {
	if first, taken := o.sources[m.key]; taken {
		return &Problem{File: m.file, Line: m.line, Field: "metadata.name", Reason: fmt.Sprintf(
			"a %s of the name %s stands in %s already, and that one counts: rename one of them", m.kind, m.name, first)}
	}
	o.sources[m.key] = fmt.Sprintf("%s:%d", m.file, m.line)
	switch object := m.object.(type) {
	case *v1alpha1.Repository:
		o.Repositories = append(o.Repositories, *object.DeepCopy())
	case *v1alpha1.CachedImage:
		o.CachedImages = append(o.CachedImages, *object.DeepCopy())
	}
	return nil
}

package serve

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/policy/folder"
)

// manifests keeps the policies in force in step with a folder.
type manifests struct {
	folder   *folder.Folder
	defaults policy.Defaults
	current  *policy.Current
	changed  chan struct{} // holds one signal that the policies changed
	log      logr.Logger
}

// summary is what was read of the folder.
type summary struct {
	repositories, images int
	problems             []problem
}

// problem is something that is not in force, and why.
type problem struct {
	where  string // "repositories/postgres.yaml:3"
	field  string
	reason string
}

func (p problem) String() string {
	if p.field == "" {
		return p.where + ": " + p.reason
	}
	return p.where + ": " + p.field + ": " + p.reason
}

// load reads the folder once. Mistakes in its files are in the summary; the error is a folder that cannot be read.
func (m *manifests) load() (summary, error) {
	objects, problems, err := m.folder.Load()
	if err != nil {
		return summary{}, err
	}
	return m.apply(objects, problems), nil
}

// watch follows the folder until ctx ends.
func (m *manifests) watch(ctx context.Context) {
	m.folder.Watch(ctx, func(objects folder.Objects, problems []folder.Problem) {
		read := m.apply(objects, problems)
		m.log.Info("manifests changed", "repositories", read.repositories, "images", read.images, "problems", len(read.problems))
		read.report(m.log)
	})
}

// apply puts what the folder asks for in force.
func (m *manifests) apply(objects folder.Objects, bad []folder.Problem) summary {
	set, left := policy.Compile(objects.Repositories, objects.CachedImages, m.defaults)
	m.current.Store(set)
	select {
	case m.changed <- struct{}{}:
	default: // a signal waits already
	}
	read := summary{repositories: len(objects.Repositories), images: len(objects.CachedImages)}
	for _, p := range bad {
		read.problems = append(read.problems, newProblem(p))
	}
	for _, p := range left {
		where := objects.Source(p.Kind, p.Name)
		if where == "" {
			where = "the configuration"
		}
		read.problems = append(read.problems, problem{where: where, field: p.Field, reason: p.Reason})
	}
	return read
}

// newProblem leaves out nothing: place, field, reason.
func newProblem(p folder.Problem) problem {
	return problem{where: place(p.File, p.Line), field: p.Field, reason: p.Reason}
}

// report logs what is not in force.
func (s summary) report(log logr.Logger) {
	for _, p := range s.problems {
		log.Error(errors.New(p.reason), "not in force", "file", p.where, "field", p.field)
	}
}

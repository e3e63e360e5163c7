package serve

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/policy/folder"
	"github.com/prometheus/client_golang/prometheus"
)

// manifests keeps the policies in force in step with a folder.
type manifests struct {
	folder   *folder.Folder
	defaults policy.Defaults
	current  *policy.Current
	changed  chan struct{} // holds one signal that the policies changed
	problems prometheus.Gauge
	log      logr.Logger

	known map[problem]bool // of the last summary
	idle  map[string]bool  // Repositories of which it was said that a part has no effect
}

// summary is what was read of the folder.
type summary struct {
	repositories, images int // objects in force
	problems             []problem
}

// problem is something that is not in force, and why.
type problem struct {
	where   string // "repositories/postgres.yaml:3"
	field   string
	reason  string
	instead folder.Instead
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
	read := m.apply(objects, problems)
	m.known = read.known()
	return read, nil
}

// watch follows the folder until ctx ends. A problem is reported once for as long as it stands.
func (m *manifests) watch(ctx context.Context) {
	m.folder.Watch(ctx, func(objects folder.Objects, problems []folder.Problem) {
		read := m.apply(objects, problems)
		m.log.Info("manifests changed", "repositories", read.repositories, "images", read.images, "problems", len(read.problems))
		read.without(m.known).report(m.log)
		m.known = read.known()
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
	read.leave(objects, left)
	m.problems.Set(float64(len(read.problems)))
	m.sayIdle(objects)
	return read
}

// newProblem leaves out nothing: place, field, reason.
func newProblem(p folder.Problem) problem {
	return problem{where: place(p.File, p.Line), field: p.Field, reason: p.Reason, instead: p.Instead}
}

// leave takes out the objects that are good by themselves and still not in force.
func (s *summary) leave(objects folder.Objects, left []policy.Problem) {
	out := map[string]bool{}
	for _, p := range left {
		where := objects.Source(p.Kind, p.Name)
		if where == "" {
			where = "the configuration"
		}
		s.problems = append(s.problems, problem{where: where, field: p.Field, reason: p.Reason})
		object := p.Kind + " " + p.Name
		switch {
		case out[object]:
		case p.Kind == kindRepository:
			s.repositories--
		case p.Kind == kindCachedImage:
			s.images--
		}
		out[object] = true
	}
}

const (
	kindRepository  = "Repository"
	kindCachedImage = "CachedImage"
)

// sayIdle says once of each Repository what of it is for clusters.
func (m *manifests) sayIdle(objects folder.Objects) {
	if m.idle == nil {
		m.idle = map[string]bool{}
	}
	for _, repository := range objects.Repositories {
		fields := idleFields(repository.Spec)
		if len(fields) == 0 || m.idle[repository.Name] {
			continue
		}
		m.idle[repository.Name] = true
		m.log.Info("no effect in larder serve: for clusters only", "file", objects.Source(kindRepository, repository.Name),
			"name", repository.Name, "fields", fields)
	}
}

func idleFields(spec v1alpha1.RepositorySpec) (fields []string) {
	if spec.Access != "" {
		fields = append(fields, "spec.access")
	}
	if len(spec.PullSecretNames) > 0 {
		fields = append(fields, "spec.pullSecretNames")
	}
	return fields
}

func (s summary) known() map[problem]bool {
	known := make(map[problem]bool, len(s.problems))
	for _, p := range s.problems {
		known[p] = true
	}
	return known
}

// without returns the summary with the problems that are not known yet.
func (s summary) without(known map[problem]bool) summary {
	var fresh []problem
	for _, p := range s.problems {
		if !known[p] {
			fresh = append(fresh, p)
		}
	}
	s.problems = fresh
	return s
}

// report logs what is not in force, and what is instead.
func (s summary) report(log logr.Logger) {
	for _, p := range s.problems {
		values := []any{"file", p.where}
		if p.field != "" {
			values = append(values, "field", p.field)
		}
		log.Error(errors.New(p.reason), messages[p.instead], values...)
	}
}

var messages = map[folder.Instead]string{
	folder.Unsaid:   "not in force",
	folder.LastGood: "not in force; the last good version of this file stays",
	folder.Nothing:  "not in force; there is no earlier version",
}

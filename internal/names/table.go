package names

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// Table answers what a document says. It is safe for concurrent use. A nil one knows nothing, and forbids nothing.
type Table struct {
	entries map[imageref.Repository]*entry
	held    Held
}

type entry struct {
	origins []imageref.Repository
	pins    map[string]digest.Digest

	immutable []string // expressions
	once      sync.Once
	compiled  []*regexp.Regexp // when first asked for: most entries never are
	broken    bool             // an expression is none
}

// Read reads a document's text.
func Read(text []byte) (*Table, error) {
	var doc Document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("reading the names: %w", err)
	}
	if len(doc.Held)%markSize != 0 {
		return nil, errors.New("reading the names: the list of those that are held is torn")
	}
	t := &Table{entries: make(map[imageref.Repository]*entry, len(doc.Repositories)), held: doc.Held}
	for _, r := range doc.Repositories {
		repo, err := imageref.ParseRepository(r.Name)
		if err != nil {
			return nil, fmt.Errorf("reading the names: %w", err)
		}
		e := &entry{pins: r.Pins, immutable: r.ImmutableTags}
		for _, name := range r.Origins {
			origin, err := imageref.ParseRepository(name)
			if err != nil {
				return nil, fmt.Errorf("reading the origins of %s: %w", r.Name, err)
			}
			e.origins = append(e.origins, origin)
		}
		for tag, dgst := range r.Pins {
			if _, err := imageref.ParseDigest(string(dgst)); err != nil {
				return nil, fmt.Errorf("reading the pin of %s:%s: %w", r.Name, tag, err)
			}
		}
		t.entries[repo] = e
	}
	return t, nil
}

// Len is how many repositories the table knows.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.entries) + t.held.Len()
}

// Origins returns the repositories that are asked for repo, in this order; none: itself. The result must not be changed.
func (t *Table) Origins(repo imageref.Repository) []imageref.Repository {
	if e := t.entry(repo); e != nil {
		return e.origins
	}
	return nil
}

// HeldError is why a tag, or a list, cannot be answered without the registry.
type HeldError struct {
	Repository imageref.Repository
	Tag        string // empty: a list
	Why        string
}

func (e *HeldError) Error() string {
	what := "a list of " + e.Repository.String()
	if e.Tag != "" {
		what = e.Repository.String() + ":" + e.Tag
	}
	return fmt.Sprintf("no replica of the registry answers, and %s is not taken from an origin meanwhile: %s; pull by digest, or try again later",
		what, e.Why)
}

// Tag says what an origin may be asked for in place of a tag: the digest to which it is pinned, or, with an empty digest, the tag itself. A
// *HeldError says that it must not be asked.
func (t *Table) Tag(repo imageref.Repository, tag string) (digest.Digest, error) {
	if t.holds(repo) {
		return "", &HeldError{repo, tag, heldWhy}
	}
	e := t.entry(repo)
	if e == nil {
		return "", nil
	}
	if dgst, pinned := e.pins[tag]; pinned {
		return dgst, nil
	}
	switch {
	case len(e.origins) > 0:
		return "", &HeldError{repo, tag, "its images come from " + imageref.Hosts(e.origins) + ", and which revision is in force only the registry knows"}
	case e.isImmutable(repo, tag):
		return "", &HeldError{repo, tag, "the tag is immutable, and only the registry knows which revision it has"}
	}
	return "", nil
}

const heldWhy = "the registry has more to tell than a proxy takes, and of this repository only that it has to be asked"

// List says whether an origin may be asked for the tags or the referrers of repo: a *HeldError says that nobody knows which one.
func (t *Table) List(repo imageref.Repository) error {
	if t.holds(repo) {
		return &HeldError{Repository: repo, Why: heldWhy}
	}
	return nil
}

func (t *Table) holds(repo imageref.Repository) bool { return t != nil && t.held.has(repo.String()) }

func (t *Table) entry(repo imageref.Repository) *entry {
	if t == nil {
		return nil
	}
	return t.entries[repo]
}

// isImmutable matches as updateFilters do (T4). An expression that cannot be read holds every tag: rather none than a wrong one.
func (e *entry) isImmutable(repo imageref.Repository, tag string) bool {
	e.once.Do(func() {
		for _, text := range e.immutable {
			expression, err := regexp.Compile(text)
			if err != nil {
				e.broken = true
				continue
			}
			e.compiled = append(e.compiled, expression)
		}
	})
	full, short := repo.String()+":"+tag, repo.Short()+":"+tag
	return e.broken || slices.ContainsFunc(e.compiled, func(x *regexp.Regexp) bool { return x.MatchString(full) || x.MatchString(short) })
}

// Package policy turns what users want (Repositories, CachedImages, a process's defaults) into decisions about tags: whether
// and how often each is checked at its origin, and which ones an object names. It is pure: it reads no file, asks no API
// server and no origin, and knows nothing of what is cached.
package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// Decision is what holds for one tag.
type Decision struct {
	Check    bool          // whether the tag is ever checked (T2, T4)
	Interval time.Duration // how old an answered check may be; 0: check at every request (T3)
	Periodic bool          // whether checks also happen without a request (T8)
	MaxStale time.Duration // how long a copy may be served unconfirmed; 0: for ever (T10)

	HistoryLimit int  // how many revisions of the tag are kept; 0: as many as by default
	Immutable    bool // once cached, the tag never moves
}

// Defaults are what holds where no Repository says otherwise.
type Defaults struct {
	Interval *time.Duration // nil: tags are never checked
	Filters  []string       // RE2, matched as updateFilters are (T4); none: every tag
}

// Image is an image that a CachedImage asks for.
type Image struct {
	Reference imageref.Reference
	Platforms []string // those of its Repository; none: all of the image, or those of the cluster's nodes
	Retain    bool     // kept also when unused

	Pinned digest.Digest // the revision that its tag is to be at; empty: what its origin says
}

// Set holds the decisions of one state of the objects. It never changes, and is safe for concurrent use. Its zero value checks
// nothing and names nothing.
type Set struct {
	defaults rule
	rules    map[imageref.Repository]rule
	named    map[namedTag]struct{}
	unused   map[namedTag]bool // of those; absent: used
	pinned   map[pinnedDigest]struct{}
	periodic []imageref.Repository
	images   []Image
	askedFor map[imageref.Repository][]imageref.Repository // by origin
	pins     Pins
}

type namedTag struct {
	repo imageref.Repository
	tag  string
}

type pinnedDigest struct {
	repo   imageref.Repository
	digest digest.Digest
}

// Decide returns what holds for a tag.
func (s *Set) Decide(repo imageref.Repository, tag string) Decision {
	r, ok := s.rules[repo]
	if !ok {
		r = s.defaults
	}
	var d Decision
	if r.decision.Check && (len(r.filters) == 0 || matches(r.filters, repo, tag)) {
		d = r.decision
	}
	d.HistoryLimit, d.Immutable = r.historyLimit, matches(r.immutable, repo, tag)
	return d
}

// listInterval is how old the lists of a repository may be that has no interval.
const listInterval = 5 * time.Minute

// Listing returns how old the lists of a repository (its tags, what refers to an image) may be before they are checked: its interval
// where it has one (D1). Filters are about tags, and do not matter.
func (s *Set) Listing(repo imageref.Repository) time.Duration {
	r, ok := s.rules[repo]
	if !ok {
		r = s.defaults
	}
	if !r.decision.Check {
		return listInterval
	}
	return r.decision.Interval
}

// Named says whether a CachedImage names the tag, so that it never expires unused (M5).
func (s *Set) Named(repo imageref.Repository, tag string) bool {
	_, ok := s.named[namedTag{repo, tag}]
	return ok
}

// Unused says of a tag that CachedImages name whether each of them expires, since nobody uses it, and none is to be retained.
func (s *Set) Unused(repo imageref.Repository, tag string) bool { return s.unused[namedTag{repo, tag}] }

// NamedDigest says whether a CachedImage names a manifest by its digest, so that it is never swept (M4).
func (s *Set) NamedDigest(repo imageref.Repository, dgst digest.Digest) bool {
	_, ok := s.pinned[pinnedDigest{repo, dgst}]
	return ok
}

// Periodic lists the repositories that are checked without being pulled (T8), in the order of their names.
func (s *Set) Periodic() []imageref.Repository { return slices.Clone(s.periodic) }

// Images lists the images that CachedImages ask for, each once, in the order of their names.
func (s *Set) Images() []Image { return slices.Clone(s.images) }

// Platforms returns the platforms to mirror of a repository's images; none: all of them, or those of the cluster's nodes.
func (s *Set) Platforms(repo imageref.Repository) []string {
	return slices.Clone(s.rules[repo].platforms)
}

// PullSecrets returns the names of the pull secrets in Larder's own namespace that a repository is asked for with (A3), each once: its
// own, and those of the repositories whose images come from it.
func (s *Set) PullSecrets(repo imageref.Repository) []string {
	var secrets []string
	for _, named := range s.AskedFor(repo) {
		for _, secret := range s.rules[named].secrets {
			if !slices.Contains(secrets, secret) {
				secrets = append(secrets, secret)
			}
		}
	}
	return secrets
}

// OwnPullSecrets returns the names of those of its own Repository alone.
func (s *Set) OwnPullSecrets(repo imageref.Repository) []string {
	return slices.Clone(s.rules[repo].secrets)
}

func compareRepositories(a, b imageref.Repository) int {
	return strings.Compare(a.String(), b.String())
}

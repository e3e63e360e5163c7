package policy

import (
	"maps"
	"slices"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/names"
	"github.com/opencontainers/go-digest"
)

// Pins are the digests to which tags are pinned, by repository and tag.
type Pins map[imageref.Repository]map[string]digest.Digest

// add notes the pin of an image's tag, if it has one. Of two objects the older one's holds.
func (p Pins) add(ref imageref.Reference, pinned string) {
	dgst, err := imageref.ParseDigest(pinned)
	if err != nil || ref.Tag == "" {
		return
	}
	if p[ref.Repository] == nil {
		p[ref.Repository] = map[string]digest.Digest{}
	}
	if _, taken := p[ref.Repository][ref.Tag]; !taken {
		p[ref.Repository][ref.Tag] = dgst
	}
}

// Pins returns the digests to which CachedImages pin tags. The result must not be changed.
func (s *Set) Pins() Pins { return s.pins }

// Names returns what larder-proxy has to know of repositories while no registry answers, in the order of their names.
func (s *Set) Names() names.Document {
	known := map[imageref.Repository]names.Repository{}
	for repo, r := range s.rules {
		if len(r.origins) > 0 || len(r.immutableTags) > 0 {
			known[repo] = names.Repository{Origins: inFull(r.origins), ImmutableTags: r.immutableTags}
		}
	}
	for repo, pins := range s.pins {
		entry := known[repo]
		entry.Pins = pins
		known[repo] = entry
	}
	var doc names.Document
	for _, repo := range slices.SortedFunc(maps.Keys(known), compareRepositories) {
		entry := known[repo]
		entry.Name = repo.String()
		doc.Repositories = append(doc.Repositories, entry)
	}
	return doc
}

func inFull(repos []imageref.Repository) []string {
	full := make([]string, 0, len(repos))
	for _, repo := range repos {
		full = append(full, repo.String())
	}
	return full
}

package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/opencontainers/go-digest"
)

// itemKind is what a sweep can delete of a repository.
type itemKind int

const (
	tombstone itemKind = iota
	manifestItem
	blobItem
	documentItem
)

// item is something in a repository that nothing reaches.
type item struct {
	kind   itemKind
	path   string // what stands for it among the candidates
	tag    string // of a tombstone
	digest digest.Digest
}

// mark is what is reachable in one repository, and what is not. It holds the digests of the repository in memory.
type mark struct {
	store *Store
	repo  imageref.Repository
	root  string

	manifests map[digest.Digest]bool     // linked here; true: reached
	named     map[digest.Digest]struct{} // what is reached here: manifests, and all that they name
	referrers map[digest.Digest][]digest.Digest
	blind     bool // a manifest that is reached, or a tag, cannot be read: nobody knows what it names
	dead      []item
	links     []digest.Digest // all that is linked here
}

// mark reads a repository: tags and their kept history reach manifests, those what they name and what refers to them (M4), and what
// o.Keeps and o.Remembers want is kept. Its error means that nobody can tell.
func (s *Store) mark(ctx context.Context, repo imageref.Repository, o SweepOptions) (*mark, error) {
	root, err := repositoryPath(repo)
	if err != nil {
		return nil, err
	}
	m := &mark{
		store: s, repo: repo, root: root, manifests: map[digest.Digest]bool{},
		named: map[digest.Digest]struct{}{}, referrers: map[digest.Digest][]digest.Digest{},
	}
	if err := m.read(ctx, o); err != nil {
		return nil, fmt.Errorf("marking %s: %w", repo, err)
	}
	return m, nil
}

func (m *mark) read(ctx context.Context, o SweepOptions) error {
	blobs, err := m.linked(ctx)
	if err != nil {
		return err
	}
	roots, err := m.tags(ctx, o.Remembers)
	if err != nil {
		return err
	}
	if err := m.reach(ctx, roots); err != nil {
		return err
	}
	if err := m.unnamed(ctx, o.Keeps); err != nil {
		return err
	}
	m.bury(blobs)
	return m.documents(ctx)
}

// linked lists the links of the repository.
func (m *mark) linked(ctx context.Context) (blobs []digest.Digest, err error) {
	for _, algorithm := range algorithms {
		revisions, err := m.store.digests(ctx, revisionsPath(m.root, algorithm), algorithm)
		if err != nil {
			return nil, err
		}
		for _, dgst := range revisions {
			m.manifests[dgst] = false
		}
		layers, err := m.store.digests(ctx, path.Join(m.root, "_layers", algorithm.String()), algorithm)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, layers...)
		m.links = append(append(m.links, revisions...), layers...)
	}
	return blobs, nil
}

// digests lists a folder of digests. What is none is left alone.
func (s *Store) digests(ctx context.Context, folder string, algorithm digest.Algorithm) ([]digest.Digest, error) {
	names, err := s.folders(ctx, folder)
	if err != nil {
		return nil, err
	}
	all := make([]digest.Digest, 0, len(names))
	for _, name := range names {
		if dgst, err := imageref.ParseDigest(digest.NewDigestFromEncoded(algorithm, name).String()); err == nil {
			all = append(all, dgst)
		}
	}
	return all, nil
}

// tags returns what the tags name, and notes those that were removed and need not be remembered.
func (m *mark) tags(ctx context.Context, remembers func(imageref.Repository, string) bool) ([]digest.Digest, error) {
	tags, err := m.store.Tags(ctx, m.repo)
	if err != nil {
		return nil, err
	}
	var roots []digest.Digest
	for _, tag := range tags {
		rec, err := m.store.readTag(ctx, m.repo, tag)
		if errors.Is(err, ErrNotFound) {
			kept, err := m.unreadable(ctx, tag)
			if err != nil {
				return nil, err
			}
			roots = append(roots, kept...)
			continue
		}
		if err != nil {
			return nil, err
		}
		if rec.Untagged && rec.Evicted && remembers != nil && remembers(m.repo, tag) {
			continue
		}
		if rec.Untagged {
			paths, _ := pathsOfTag(m.repo, tag) // errs for a tag that Tags does not list
			m.dead = append(m.dead, item{kind: tombstone, path: paths.record, tag: tag})
			continue
		}
		roots = append(roots, rec.Reaches()...)
	}
	return roots, nil
}

// unreadable returns all that is linked here where a tag has a record that cannot be read: nobody knows what it keeps.
func (m *mark) unreadable(ctx context.Context, tag string) ([]digest.Digest, error) {
	paths, err := pathsOfTag(m.repo, tag)
	if err != nil {
		return nil, err
	}
	there, err := m.store.exists(ctx, paths.record)
	if err != nil || !there {
		return nil, err
	}
	m.blind = true
	return slices.Collect(maps.Keys(m.manifests)), nil
}

// reach follows manifests to all that they name.
func (m *mark) reach(ctx context.Context, next []digest.Digest) error {
	for len(next) > 0 {
		dgst := next[len(next)-1]
		next = next[:len(next)-1]
		m.named[dgst] = struct{}{}
		reached, linked := m.manifests[dgst]
		if reached || !linked {
			continue
		}
		m.manifests[dgst] = true
		body, err := m.store.names(ctx, dgst)
		if err != nil {
			return err
		}
		if body == nil {
			m.blind = true
		} else {
			next = append(next, body.Digests()...)
		}
		next = append(next, m.referrers[dgst]...)
	}
	return nil
}

// unnamed looks at the manifests that no tag reaches: something else may want them, and they may refer to one that is reached.
func (m *mark) unnamed(ctx context.Context, keeps func(imageref.Repository, digest.Digest) bool) error {
	var kept []digest.Digest
	for dgst, reached := range m.manifests {
		if reached {
			continue
		}
		if keeps != nil && keeps(m.repo, dgst) {
			kept = append(kept, dgst)
			continue
		}
		body, err := m.store.names(ctx, dgst)
		if err != nil {
			return err
		}
		switch {
		case body == nil || body.Subject.Digest == "":
		case m.manifests[body.Subject.Digest]:
			kept = append(kept, dgst)
		default:
			m.referrers[body.Subject.Digest] = append(m.referrers[body.Subject.Digest], dgst)
		}
	}
	return m.reach(ctx, kept)
}

// bury lists the links that nothing reaches.
func (m *mark) bury(blobs []digest.Digest) {
	for dgst, reached := range m.manifests {
		if !reached {
			link, _, _ := linkPaths(m.repo, manifestLink, dgst) // errs for what digests does not list
			m.dead = append(m.dead, item{kind: manifestItem, path: link, digest: dgst})
		}
	}
	for _, dgst := range blobs {
		if _, named := m.named[dgst]; named || m.blind {
			continue
		}
		link, _, _ := linkPaths(m.repo, blobLink, dgst)
		m.dead = append(m.dead, item{kind: blobItem, path: link, digest: dgst})
	}
}

// documents lists the lists and times that are about a manifest which is not reached, and all of them where nothing is left.
func (m *mark) documents(ctx context.Context) error {
	folder := path.Join(m.root, "_larder/documents")
	names, err := m.store.folders(ctx, folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		below, err := m.store.folders(ctx, path.Join(folder, name))
		if err != nil {
			return err
		}
		for _, about := range below {
			if !m.manifests[digest.Digest(strings.Replace(about, "-", ":", 1))] {
				m.dead = append(m.dead, item{kind: documentItem, path: path.Join(folder, name, about)})
			}
		}
		if len(below) == 0 && len(m.named) == 0 {
			m.dead = append(m.dead, item{kind: documentItem, path: path.Join(folder, name)})
		}
	}
	return nil
}

// names reads what a manifest names; nil where it is not there, damaged or no manifest.
func (s *Store) names(ctx context.Context, dgst digest.Digest) (*manifest.Manifest, error) {
	body, err := s.ReadBlob(ctx, dgst)
	if errors.Is(err, ErrNotFound) || errors.Is(err, errManifestSize) {
		return nil, nil // nobody can say what it names
	}
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	return &m, nil
}

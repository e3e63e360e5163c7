package store

import (
	"sync"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// gate keeps a sweep and the writers of links, manifests and records apart. A writer passes while it writes one of them; the sweep
// closes it for a few deletions at a time (on object storage one), and knows then whether what it has read of a repository still holds. So
// nobody waits for a sweep longer than for those few, or for the folders of one empty repository. The zero value is ready.
type gate struct {
	sync.RWMutex

	mu      sync.Mutex
	watched bool
	changed map[imageref.Repository]struct{} // written to since the sweep has looked
	linked  map[digest.Digest]struct{}       // linked somewhere since the sweep began
	pinned  map[digest.Digest]int            // by how many that are about to link them
}

// pass is for writing what may make something reachable in repo: a manifest, a tag record, a document.
func (g *gate) pass(repo imageref.Repository) (leave func()) {
	g.RLock()
	return func() {
		defer g.RUnlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.watched {
			g.changed[repo] = struct{}{}
		}
	}
}

// passLink is for writing the link of a blob.
func (g *gate) passLink(dgst digest.Digest) (leave func()) {
	g.RLock()
	return func() {
		defer g.RUnlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.watched {
			g.linked[dgst] = struct{}{}
		}
	}
}

// watch begins to note what is written, until end.
func (g *gate) watch() (end func()) {
	g.Lock()
	defer g.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watched, g.changed, g.linked = true, map[imageref.Repository]struct{}{}, map[digest.Digest]struct{}{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watched, g.changed, g.linked = false, nil, nil
	}
}

// look forgets that repo was written to: what is read of it from now on is as it is now.
func (g *gate) look(repo imageref.Repository) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.changed, repo)
}

// holds says whether what was read of repo still holds. The gate is closed.
func (g *gate) holds(repo imageref.Repository) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, changed := g.changed[repo]
	return !changed
}

// wasLinked says whether a blob was linked since the sweep began. The gate is closed.
func (g *gate) wasLinked(dgst digest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, linked := g.linked[dgst]
	return linked
}

// Pin keeps a blob from being swept, be it stored or not, until unpin is called: for who links it much later than it looks or writes.
func (s *Store) Pin(dgst digest.Digest) (unpin func()) {
	g := &s.gate
	g.RLock() // no deletion that did not see the pin is under way when this returns
	defer g.RUnlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pinned == nil {
		g.pinned = map[digest.Digest]int{}
	}
	g.pinned[dgst]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.pinned[dgst]--; g.pinned[dgst] == 0 {
			delete(g.pinned, dgst)
		}
	}
}

// isPinned says whether somebody is about to link a blob. The gate is closed.
func (g *gate) isPinned(dgst digest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pinned[dgst] > 0
}

// stale returns the repositories that were written to since the sweep has looked at them.
func (g *gate) stale() []imageref.Repository {
	g.mu.Lock()
	defer g.mu.Unlock()
	var repos []imageref.Repository
	for repo := range g.changed {
		repos = append(repos, repo)
	}
	return repos
}

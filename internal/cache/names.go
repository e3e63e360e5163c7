package cache

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// names knows which blobs and manifests the stored manifests of a repository name (B6), and with what size. It reads a repository's
// manifests when it is first asked, and forgets the least used repositories.
type names struct {
	store *store.Store
	limit int

	mu    sync.Mutex
	repos *simplelru.LRU[imageref.Repository, *repoNames]
	count int
}

type repoNames struct {
	mu     sync.Mutex
	loaded bool
	descs  map[digest.Digest]named
}

// named is a descriptor without what only a manifest's reader needs.
type named struct {
	size      int64
	mediaType string
}

func newNames(s *store.Store, limit int) *names {
	n := &names{store: s, limit: limit}
	n.repos, _ = simplelru.NewLRU[imageref.Repository, *repoNames](limit, nil) // errs for a size below one only
	return n
}

// find returns the descriptor by which a stored manifest of repo names dgst.
func (n *names) find(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, bool) {
	r := n.repo(repo)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded {
		n.load(ctx, repo, r)
	}
	d, ok := r.descs[dgst]
	return ocispec.Descriptor{Digest: dgst, Size: d.size, MediaType: d.mediaType}, ok
}

// add notes what a manifest that was just stored names.
func (n *names) add(repo imageref.Repository, body []byte) {
	r := n.repo(repo)
	r.mu.Lock()
	added := r.add(body)
	r.mu.Unlock()
	n.grew(added)
}

func (n *names) repo(repo imageref.Repository) *repoNames {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.repos.Get(repo)
	if !ok {
		r = &repoNames{descs: map[digest.Digest]named{}}
		n.repos.Add(repo, r)
	}
	return r
}

func (n *names) load(ctx context.Context, repo imageref.Repository, r *repoNames) {
	added := 0
	err := n.store.Manifests(ctx, repo, func(dgst digest.Digest) error {
		if body, _, err := n.store.ReadManifest(ctx, repo, dgst); err == nil {
			added += r.add(body)
		}
		return ctx.Err()
	})
	r.loaded = err == nil || errors.Is(err, store.ErrNotFound)
	n.grew(added)
}

// grew forgets the least used repositories, but never all.
func (n *names) grew(added int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.count += added; n.count > n.limit && n.repos.Len() > 1; {
		_, r, _ := n.repos.RemoveOldest()
		if r.mu.TryLock() { // one that is being loaded counts anew when it is done
			n.count -= len(r.descs)
			r.mu.Unlock()
		}
	}
}

func (r *repoNames) add(body []byte) int {
	m, err := parseManifest("", body)
	if err != nil {
		return 0
	}
	before := len(r.descs)
	for _, d := range m.blobs() {
		r.descs[d.Digest] = named{d.Size, d.MediaType}
	}
	for _, d := range m.Manifests {
		if d.Digest.Validate() == nil {
			r.descs[d.Digest] = named{d.Size, d.MediaType}
		}
	}
	return len(r.descs) - before
}

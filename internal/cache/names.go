package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

const (
	namesInMemory = 512             // repositories whose names are held in memory
	namesLoad     = 5 * time.Minute // how long reading a repository's manifests may take
	namesWait     = 5 * time.Second // how long a request waits for that before it asks the origin instead
)

// names knows which blobs and manifests the stored manifests of a repository name (B6), and with what size. It reads a repository's
// manifests when it is first asked, and forgets the least used repositories.
type names struct {
	store      *store.Store
	background func(time.Duration, func(context.Context)) error

	mu    sync.Mutex
	repos *simplelru.LRU[imageref.Repository, *repoNames]
}

type repoNames struct {
	loading sync.Once
	loaded  chan struct{} // closed when the stored manifests have been read

	mu    sync.Mutex
	descs map[digest.Digest]named
}

// named is a descriptor without what only a manifest's reader needs.
type named struct {
	size      int64
	mediaType string // of a manifest; a blob's is the origin's to say
}

func newNames(s *store.Store, background func(time.Duration, func(context.Context)) error) *names {
	n := &names{store: s, background: background}
	n.repos, _ = simplelru.NewLRU[imageref.Repository, *repoNames](namesInMemory, nil) // errs for a size below one only
	return n
}

// find returns the descriptor by which a stored manifest of repo names dgst. Where the manifests cannot be read in time, none does.
func (n *names) find(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, bool) {
	r := n.repo(repo)
	if d, ok := r.find(dgst); ok {
		return d, true
	}
	r.loading.Do(func() {
		if err := n.background(namesLoad, func(ctx context.Context) { n.load(ctx, repo, r) }); err != nil {
			close(r.loaded)
		}
	})
	ctx, cancel := context.WithTimeout(ctx, namesWait)
	defer cancel()
	select {
	case <-r.loaded:
	case <-ctx.Done():
	}
	return r.find(dgst)
}

// add notes what a manifest that was just stored names.
func (n *names) add(repo imageref.Repository, body []byte) { n.repo(repo).add(body) }

// forget has the manifests of repo read again.
func (n *names) forget(repo imageref.Repository) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.repos.Remove(repo)
}

func (n *names) repo(repo imageref.Repository) *repoNames {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.repos.Get(repo)
	if !ok {
		r = &repoNames{loaded: make(chan struct{}), descs: map[digest.Digest]named{}}
		n.repos.Add(repo, r)
	}
	return r
}

// load reads the manifests of repo. What it could not read whole is forgotten, and read again for the next request.
func (n *names) load(ctx context.Context, repo imageref.Repository, r *repoNames) {
	defer close(r.loaded)
	err := n.store.Manifests(ctx, repo, func(dgst digest.Digest) error {
		if body, _, err := n.store.ReadManifest(ctx, repo, dgst); err == nil {
			r.add(body)
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.repos.Remove(repo)
	}
}

func (r *repoNames) find(dgst digest.Digest) (ocispec.Descriptor, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.descs[dgst]
	return ocispec.Descriptor{Digest: dgst, Size: d.size, MediaType: d.mediaType}, ok
}

func (r *repoNames) add(body []byte) {
	m, err := manifest.Parse(body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range m.Blobs() {
		r.descs[d.Digest] = named{size: d.Size}
	}
	for _, d := range m.Manifests {
		if d.Digest.Validate() == nil {
			r.descs[d.Digest] = named{d.Size, d.MediaType}
		}
	}
}

package mirror

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// queue is the controller's, once it has begun. Before, nothing needs to be put into it: each object is reconciled at the start.
type queue struct {
	mu sync.Mutex
	to workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// open is a source: the controller hands its queue over.
func (q *queue) open(_ context.Context, to workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.to = to
	return nil
}

// add has objects reconciled.
func (q *queue) add(names ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.to == nil {
		return
	}
	for _, name := range names {
		q.to.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	}
}

// gather is how long changes of tags are collected: a tag that is pulled often is looked at once.
const gather = 2 * time.Second

// changes are the tags that changed. A tag is in it once, and only while an object names it: that bounds it.
type changes struct {
	mu   sync.Mutex
	tags map[imageref.Reference]struct{}
}

func newChanges() *changes { return &changes{tags: map[imageref.Reference]struct{}{}} }

func (c *changes) add(ref imageref.Reference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tags[ref] = struct{}{}
}

func (c *changes) take() map[imageref.Reference]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.tags
	c.tags = map[imageref.Reference]struct{}{}
	return taken
}

// TagChanged has the CachedImages of a tag reconciled soon, many changes at once. It never blocks: it is cache.Options.OnTag.
func (r *Reconciler) TagChanged(repo imageref.Repository, tag string) {
	ref := imageref.Reference{Repository: repo, Tag: tag}
	if r.memory.knows(ref) || len(r.others.names(ref)) > 0 { // else its first reconcile sees the change
		r.changed.add(ref)
	}
}

// background runs what is not a reconcile, for as long as the manager does.
type background struct{ *Reconciler }

// NeedLeaderElection says that every registry runs it.
func (background) NeedLeaderElection() bool { return false }

// Start passes changed tags, policies and shares on until ctx ends, and ends mirrors and checks then.
func (b background) Start(ctx context.Context) error {
	defer b.checks.close()
	defer b.mirrors.close()
	ticker := time.NewTicker(gather)
	defer ticker.Stop()
	share := b.o.Share.Generation()
	for generation := b.o.Policies.Generation(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for ref := range b.changed.take() {
			b.queue.add(append(b.memory.names(ref), b.others.names(ref)...)...)
		}
		if now := b.o.Policies.Generation(); now != generation {
			generation = now
			b.platformsChanged()
		}
		if now := b.o.Share.Generation(); now != share && b.shareChanged(ctx) == nil {
			share = now
		}
	}
}

// shareChanged has every object reconciled: some have a new owner.
func (r *Reconciler) shareChanged(ctx context.Context) error {
	var all v1alpha1.CachedImageList
	if err := r.o.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("listing CachedImages: %w", err)
	}
	for i := range all.Items {
		r.queue.add(all.Items[i].Name)
	}
	return nil
}

// platformsChanged has the images reconciled that want other platforms than they did.
func (r *Reconciler) platformsChanged() { r.queue.add(r.memory.wanting(r.platforms)...) }

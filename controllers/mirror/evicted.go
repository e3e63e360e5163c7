package mirror

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
)

// eviction is that an image was removed although an object asks for it: nobody used it, and the store was larger than its limit. It lasts
// until a pull brings the image back, or somebody uses it: to bring it in again at once would be to fight the limit for ever.
type eviction struct {
	message string // of the condition Ready
	seen    bool   // the store was seen without the image since
}

// Evicting tells that the cache is about to remove an image because its store is larger than its limit. It is cache.Options.OnEvict; it
// tells also of images that no object asks for.
func (r *Reconciler) Evicting(ref imageref.Reference, stored cache.Image) {
	note := fmt.Sprintf("evicted (%s): the store was larger than its limit, and nobody used it; it comes back by the next pull, or once a pod uses it",
		sizeOf(stored.Size))
	if r.o.Changes != nil {
		r.o.Changes.Tell(events.Eviction(ref.String(), stored.Digest, stored.Size, stored.ChangedAt, stored.CheckedAt))
	}
	for _, found := range r.memory.evict(ref, note) {
		r.say(found, events.Evicted, note)
	}
}

// evict notes that an image is removed, and returns what an event needs of the objects that ask for it.
func (m *memory) evict(ref imageref.Reference, message string) (objects []*v1alpha1.CachedImage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	im := m.images[ref]
	if im == nil {
		return nil
	}
	im.evicted = &eviction{message: message}
	for _, name := range slices.Sorted(maps.Keys(im.objects)) {
		objects = append(objects, &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name, UID: im.objects[name].uid}})
	}
	return objects
}

// stayOut says whether an image stays out of the store for now, and what its status says then. Its caller holds the memory's lock.
func (im *image) stayOut(p *pass) (message string, out bool) {
	e := im.evicted
	if e == nil || p.broken != nil {
		return "", false
	}
	stored := p.stored.Digest != "" && !p.stored.Untagged
	used := p.found.Spec.ExpiresAt == nil || p.found.Spec.Retain || p.found.Spec.PinnedDigest != ""
	switch {
	case used, stored && e.seen:
		im.evicted = nil
		return "", false
	case stored: // about to go
		return "", false
	}
	e.seen = true
	return e.message, true
}

// saidEvicted is the eviction that a status tells of.
func saidEvicted(s *v1alpha1.CachedImageStatus) *eviction {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Reason != v1alpha1.ReasonEvicted {
		return nil
	}
	return &eviction{message: c.Message, seen: true}
}

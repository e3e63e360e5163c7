package mirror

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// evicted is what a status says of an image that was removed although an object asks for it.
const evicted = "evicted: the store was larger than its limit, and nobody used it; it comes back by the next pull, or once a pod uses it"

// Evicting tells that the cache is about to remove an image because its store is larger than its limit. It is cache.Options.OnEvict; it
// tells also of images that no object asks for, and of those that other replicas bring in.
func (r *Reconciler) Evicting(ref imageref.Reference, stored cache.Image) {
	if r.o.Changes != nil {
		r.o.Changes.Tell(events.Eviction(ref.String(), stored.Digest, stored.Size, stored.ChangedAt, stored.CheckedAt))
	}
	if ref.Tag == "" {
		return // no object that may name it is evicted by its digest
	}
	asking, err := usage.CachedImages(context.Background(), r.o.Client, ref)
	if err != nil {
		return // the informer has not begun: the status tells, once it has
	}
	for i := range asking {
		if !r.owns(&asking[i], ref, true) {
			r.others.add(asking[i].Name, ref)
		}
		r.say(&asking[i], events.Evicted, fmt.Sprintf("%s %s", sizeOf(stored.Size), evicted))
	}
}

// stayOut says whether an image was evicted and stays so: until a pull brings it back, or somebody uses it. To bring it in again at once would
// be to fight the limit for ever. The store says so to every replica; where it does not any more, the status does.
func (p *pass) stayOut() bool {
	if p.broken != nil || p.found.Spec.ExpiresAt == nil || p.found.Spec.Retain || p.found.Spec.PinnedDigest != "" {
		return false
	}
	if p.stored.Digest != "" && !p.stored.Untagged {
		return false
	}
	return p.stored.Evicted || saysEvicted(&p.previous)
}

func saysEvicted(s *v1alpha1.CachedImageStatus) bool {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Reason == v1alpha1.ReasonEvicted
}

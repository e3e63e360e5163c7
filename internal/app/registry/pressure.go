package registry

import (
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/tools/events"
)

// pressure tells by events of the registry's own pod that its store is larger than its limit.
type pressure struct {
	pod      *corev1.Pod // nil: it is not known
	recorder events.EventRecorder
}

// evicting tells of an image that is about to be removed since the store is larger than its limit.
func (p *process) evicting(ref imageref.Reference, image cache.Image) {
	if r := p.mirror.Load(); r != nil {
		r.Evicting(ref, image)
		return
	}
	p.server.Evicting(ref, image)
}

// crowded says on the registry's pod, again at each look, that its store is larger than its limit although all that is left is in use.
func (p *process) crowded(used int64, limit cache.Limit) {
	at := p.pressure.Load()
	if at == nil || at.pod == nil {
		return
	}
	at.recorder.Eventf(at.pod, nil, corev1.EventTypeWarning, "StoreOverLimit", "Evict",
		"the store holds %s, more than its limit of %s, and all that is left is in use: raise store.maxSize, or use less",
		resource.NewQuantity(used, resource.BinarySI), resource.NewQuantity(limit.High, resource.BinarySI))
}

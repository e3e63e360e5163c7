package mirror

import (
	"context"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// refresh starts the check that the annotation asks for, once for each value. Its caller holds the memory's lock.
func (r *Reconciler) refresh(p *pass, o *object) {
	value := p.found.Annotations[v1alpha1.AnnotationRefresh]
	if value == "" || value == o.asked || value == o.handled || o.handled == "" && value == p.previous.LastHandledRefresh {
		return
	}
	o.asked = value
	r.checks.add(p.place, true, func(ctx context.Context) {
		err := r.o.Cache.Check(ctx, o.image.ref)
		r.memory.mu.Lock()
		o.asked = ""
		if ctx.Err() == nil {
			o.handled, o.answer = value, err
			o.image.retryAt, o.image.pin.retryAt = time.Time{}, time.Time{} // whoever asks for a check has done something about what failed
		}
		r.memory.mu.Unlock()
		r.queue.add(o.name)
	})
}

package mirror

import (
	"context"
	"errors"
	"sync"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/store"
)

// others are the objects of other replicas whose images this one evicts. Their owners do not see that happen, but what it writes into the
// status. Whoever stays in it once an image is back costs a look at the next change of its tag.
type others struct {
	mu      sync.Mutex
	objects map[string]imageref.Reference // by name
}

func newOthers() *others { return &others{objects: map[string]imageref.Reference{}} }

func (o *others) add(name string, ref imageref.Reference) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[name] = ref
}

func (o *others) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.objects[name]
	return ok
}

func (o *others) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.objects, name)
}

// names lists the objects of an image.
func (o *others) names(ref imageref.Reference) (names []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, of := range o.objects {
		if of == ref {
			names = append(names, name)
		}
	}
	return names
}

// handOver says in the status of another replica's object that this one evicted its image.
func (r *Reconciler) handOver(ctx context.Context, found *v1alpha1.CachedImage, ref imageref.Reference) error {
	if !r.others.has(found.Name) || !found.DeletionTimestamp.IsZero() {
		return nil
	}
	stored, err := r.o.Cache.Image(ctx, ref, nil)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err != nil || !stored.Evicted {
		return err // it is not evicted yet, or is back: its owner sees that
	}
	p := r.newPass(found, ref)
	p.previous, p.out = found.Status, true
	if _, err := status.ApplyImage(ctx, r.o.Client, status.Registry, found, r.describe(p), p.now); err != nil {
		return err
	}
	r.others.remove(found.Name)
	return nil
}

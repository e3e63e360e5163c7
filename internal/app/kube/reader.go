package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrNotSynced says that the API server has not told everything yet.
var ErrNotSynced = errors.New("the API server has not been reached yet")

// startup is how long a read waits for the first answers of the API server after the start.
const startup = 5 * time.Second

// Reader reads from a cache once that has synced. Within five seconds of the start a read waits for that, later it is
// ErrNotSynced at once: who asks is on the way of a pull, and has to go on without. It is safe for concurrent use.
type Reader struct {
	late chan struct{} // closed when the start is over

	mu     sync.Mutex
	inner  client.Reader
	synced chan struct{} // closed when inner is set
}

// NewReader returns a reader whose start is now. It reads nothing until Use is called.
func NewReader(ctx context.Context) *Reader {
	r := &Reader{late: make(chan struct{}), synced: make(chan struct{})}
	over, cancel := context.WithTimeout(ctx, startup)
	context.AfterFunc(over, func() { cancel(); close(r.late) })
	return r
}

// Use makes inner what is read from.
func (r *Reader) Use(inner client.Reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inner == nil {
		close(r.synced)
	}
	r.inner = inner
}

// Get reads one object.
func (r *Reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	inner, err := r.ready(ctx)
	if err != nil {
		return err
	}
	return inner.Get(ctx, key, object, options...)
}

// List reads many.
func (r *Reader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	inner, err := r.ready(ctx)
	if err != nil {
		return err
	}
	return inner.List(ctx, list, options...)
}

// ready returns what to read from. A cache that has synced is at once, even for a context that has ended.
func (r *Reader) ready(ctx context.Context) (client.Reader, error) {
	if inner := r.current(); inner != nil {
		return inner, nil
	}
	select {
	case <-r.synced:
	case <-r.late:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if inner := r.current(); inner != nil {
		return inner, nil
	}
	return nil, ErrNotSynced
}

func (r *Reader) current() client.Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inner
}

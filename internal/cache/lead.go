package cache

import (
	"context"
	"sync"

	"github.com/larder-dev/larder/internal/store"
)

// leader is the right to delete from a shared store, which one of the processes on it has at a time. The zero value does not have it.
type leader struct {
	mu   sync.Mutex
	ctx  context.Context // nil: another process has it
	work sync.WaitGroup
}

// Lead has this process be the one that sweeps, evicts and scrubs a shared store while work runs. When ctx ends, or work returns, what
// deletes ends at once; Lead returns when it has. Of the processes on one store, one leads at a time: the caller sees to that.
func (c *Cache) Lead(ctx context.Context, work func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	c.leader.begin(ctx)
	work(ctx)
	c.leader.end()
	cancel()
	c.leader.work.Wait()
}

func (l *leader) begin(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = ctx
}

func (l *leader) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = nil
}

// deleting is bind for what deletes: of a shared store this process has to be the leader, else the error is store.ErrShared, and the
// context ends when it is not any more.
func (c *Cache) deleting(ctx context.Context) (bound context.Context, release func(), err error) {
	bound, unbind := c.bind(ctx)
	if !c.store.Shared() {
		return bound, unbind, nil
	}
	l := &c.leader
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		unbind()
		return nil, nil, store.ErrShared
	}
	l.work.Add(1)
	bound, cancel := context.WithCancel(bound)
	stop := context.AfterFunc(l.ctx, cancel)
	return bound, func() {
		stop()
		cancel()
		unbind()
		l.work.Done()
	}, nil
}

package mirror

import (
	"context"
	"slices"
	"sync"
)

// pool runs jobs in the background: so many at a time, and so many of one host, in the order in which they came, but urgent ones first.
type pool struct {
	limit, perHost int

	ctx context.Context // of all jobs; ended by close
	end context.CancelFunc
	wg  sync.WaitGroup

	mu      sync.Mutex
	urgent  []*job
	others  []*job
	running int
	hosts   map[string]int // of those that run
}

// job is something that a pool does.
type job struct {
	host    string
	do      func(context.Context)
	ctx     context.Context
	cancel  context.CancelFunc
	started bool // guarded by the pool
}

func newPool(limit, perHost int) *pool {
	p := &pool{limit: limit, perHost: perHost, hosts: map[string]int{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

// add has do run once there is room. After close it never runs.
func (p *pool) add(host string, urgent bool, do func(context.Context)) *job {
	j := &job{host: host, do: do}
	j.ctx, j.cancel = context.WithCancel(p.ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if urgent {
		p.urgent = append(p.urgent, j)
	} else {
		p.others = append(p.others, j)
	}
	p.admit()
	return j
}

// drop takes a job out again: one that waits never runs, and the answer is true; one that has started is told to end.
func (p *pool) drop(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.cancel()
	if j.started {
		return false
	}
	same := func(other *job) bool { return other == j }
	p.urgent, p.others = slices.DeleteFunc(p.urgent, same), slices.DeleteFunc(p.others, same)
	return true
}

// started says whether a job's turn has come.
func (p *pool) started(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return j.started
}

// admit starts what there is room for. Its caller holds the lock.
func (p *pool) admit() {
	starts := func(j *job) bool {
		if p.ctx.Err() != nil || p.running >= p.limit || p.hosts[j.host] >= p.perHost {
			return false
		}
		p.start(j)
		return true
	}
	p.urgent = slices.DeleteFunc(p.urgent, starts)
	p.others = slices.DeleteFunc(p.others, starts)
}

func (p *pool) start(j *job) {
	j.started = true
	p.running++
	p.hosts[j.host]++
	p.wg.Go(func() {
		j.do(j.ctx)
		j.cancel()
		p.ended(j)
	})
}

func (p *pool) ended(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if p.hosts[j.host]--; p.hosts[j.host] == 0 {
		delete(p.hosts, j.host)
	}
	p.admit()
}

// close ends the jobs that run, and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.end()
	p.mu.Unlock()
	p.wg.Wait()
}

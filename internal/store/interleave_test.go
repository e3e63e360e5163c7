package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/go-logr/logr"
)

// What follows runs tasks on one store, one storage operation of one task at a time, and tries the orders in which that can happen: all of
// those with few preemptions, which are switches away from a task that could go on. Most races need no more than two.

// stepped is a driver whose operations wait for their turn.
type stepped struct{ storagedriver.StorageDriver }

func (s stepped) Name() string { return s3Driver } // an object appears under its key when it is whole

func (s stepped) GetContent(ctx context.Context, path string) ([]byte, error) {
	turn(ctx, path)
	return s.StorageDriver.GetContent(ctx, path)
}

func (s stepped) PutContent(ctx context.Context, path string, content []byte) error {
	turn(ctx, path)
	return s.StorageDriver.PutContent(ctx, path, content)
}

func (s stepped) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	turn(ctx, path)
	return s.StorageDriver.Reader(ctx, path, offset)
}

func (s stepped) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	turn(ctx, path)
	return s.StorageDriver.Writer(ctx, path, appending)
}

func (s stepped) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	turn(ctx, path)
	return s.StorageDriver.Stat(ctx, path)
}

func (s stepped) List(ctx context.Context, path string) ([]string, error) {
	turn(ctx, path)
	return s.StorageDriver.List(ctx, path)
}

func (s stepped) Delete(ctx context.Context, path string) error {
	turn(ctx, path)
	return s.StorageDriver.Delete(ctx, path)
}

const (
	running int32 = iota
	waiting
	ended
)

// task is one goroutine of a run.
type task struct {
	id    string // the goroutine's, as a stack shows it
	state atomic.Int32
	next  chan struct{}
}

type taskKey struct{}

// turn waits until the task of ctx may go on. There is nothing to see in the other algorithm's folders.
func turn(ctx context.Context, path string) {
	t, ok := ctx.Value(taskKey{}).(*task)
	if !ok || strings.Contains(path, "sha512") {
		return
	}
	t.wait()
}

func (t *task) wait() {
	t.state.Store(waiting)
	<-t.next
}

func begin(ctx context.Context, do func(context.Context)) *task {
	t := &task{next: make(chan struct{})}
	named := make(chan struct{})
	go func() {
		stack := make([]byte, 64)
		t.id = string(stack[:bytes.Index(stack[:runtime.Stack(stack, false)], []byte(" ["))])
		close(named)
		t.wait()
		do(context.WithValue(ctx, taskKey{}, t))
		t.state.Store(ended)
	}()
	<-named
	return t
}

// quiet waits until no task runs: each waits for its turn, for a lock, or has ended. That one waits for a lock says something only where no
// other has ended meanwhile, and may have opened it, and where all are looked at at once: of two that take the same lock in turn, one runs.
func quiet(tasks []*task) {
	for spins := 0; slices.ContainsFunc(tasks, (*task).runs); spins++ {
		runtime.Gosched()
		if spins%200 != 199 {
			continue
		}
		before, all := states(tasks), stacks()
		if !slices.ContainsFunc(tasks, func(t *task) bool { return t.runs() && !t.locked(all) }) && slices.Equal(before, states(tasks)) {
			return
		}
	}
}

func (t *task) runs() bool { return t.state.Load() == running }

func states(tasks []*task) (all []int32) {
	for _, t := range tasks {
		all = append(all, t.state.Load())
	}
	return all
}

// stacks are those of all goroutines at one moment.
func stacks() []byte {
	all := make([]byte, 1<<20)
	return all[:runtime.Stack(all, true)]
}

func (t *task) locked(stacks []byte) bool {
	_, rest, found := bytes.Cut(stacks, []byte(t.id+" ["))
	return found && bytes.HasPrefix(rest, []byte("sync."))
}

// preemption has another task go on at a step.
type preemption struct{ step, task int }

// play runs the tasks in the order that the preemptions make of it, and returns which tasks could have gone on at each step, the one
// that did first.
func play(t *testing.T, order []preemption, do []func(context.Context)) (could [][]int) {
	t.Helper()
	var tasks []*task
	for _, one := range do {
		tasks = append(tasks, begin(t.Context(), one))
	}
	for current := 0; ; {
		quiet(tasks)
		var able []int
		for i, one := range tasks {
			if one.state.Load() == waiting {
				able = append(able, i)
			}
		}
		if len(able) == 0 {
			break
		}
		if i := slices.IndexFunc(order, func(p preemption) bool { return p.step == len(could) }); i >= 0 {
			current = order[i].task
		}
		if !slices.Contains(able, current) {
			current = able[0]
		}
		could = append(could, append([]int{current}, slices.DeleteFunc(able, func(i int) bool { return i == current })...))
		tasks[current].state.Store(running)
		tasks[current].next <- struct{}{}
	}
	for i, one := range tasks {
		if one.state.Load() != ended {
			t.Fatalf("order %v: task %d waits for a lock for ever", order, i)
		}
	}
	return could
}

// scenario is a store with what runs on it, and what must hold in the end.
type scenario struct {
	do    []func(context.Context)
	check func()
}

// interleave plays a scenario, made anew each time, in all orders with up to that many preemptions; of those with the most, every
// stride-th. It returns how many that were.
func interleave(t *testing.T, preemptions, stride int, make func(*testing.T) scenario) (played int) {
	t.Helper()
	skipped := 0
	var explore func(order []preemption)
	explore = func(order []preemption) {
		s := make(t)
		could := play(t, order, s.do)
		s.check()
		if played++; t.Failed() {
			t.Fatalf("in the order %v", order)
		}
		if len(order) == preemptions {
			return
		}
		first := 0
		if len(order) > 0 {
			first = order[len(order)-1].step + 1
		}
		for step := first; step < len(could); step++ {
			for _, other := range could[step][1:] {
				if len(order) == preemptions-1 {
					if skipped++; skipped%stride != 0 {
						continue
					}
				}
				explore(append(slices.Clone(order), preemption{step, other}))
			}
		}
	}
	explore(nil)
	return played
}

func steppedStore(t *testing.T) *Store {
	t.Helper()
	return steppedOn(t, stepped{inmemory.New()}, sharedLinkTTL, Options{Exclusive: true})
}

// sharedStores are those of two processes, which share the storage and nothing else. They remember nothing of what they have read: however long a
// real one does, a real sweep waits longer.
func sharedStores(t *testing.T) (*Store, *Store) {
	t.Helper()
	driver := stepped{inmemory.New()}
	return steppedOn(t, driver, -1, Options{}), steppedOn(t, driver, -1, Options{})
}

func steppedOn(t *testing.T, driver stepped, ttl time.Duration, o Options) *Store {
	t.Helper()
	s, err := newStore(backend{driver, newObjects(driver, logr.Discard()), t.TempDir(), ttl}, o)
	if err != nil {
		t.Fatal(err)
	}
	s.spools.sync = func(*os.File) error { return nil } // there is no power to cut
	return s
}

// TestSweep_M4_EveryOrder needs the goroutines of the process to itself: it is not parallel.
func TestSweep_M4_EveryOrder(t *testing.T) {
	preemptions, stride := 1, 2
	if os.Getenv("LARDER_SOAK") != "" {
		preemptions, stride = 2, 1
	}
	for name, beside := range besides {
		t.Run(name, func(t *testing.T) {
			orders := interleave(t, preemptions, stride, func(t *testing.T) scenario {
				w := newWorld(t)
				return scenario{do: []func(context.Context){w.sweep, func(ctx context.Context) { beside(w, ctx) }}, check: w.check}
			})
			t.Log(fmt.Sprint(orders, " orders"))
		})
		t.Run(name+" by another process", func(t *testing.T) {
			orders := interleave(t, preemptions, stride, func(t *testing.T) scenario {
				w := newSharedWorld(t)
				return scenario{do: []func(context.Context){w.sweep, func(ctx context.Context) { beside(w, ctx) }}, check: w.check}
			})
			t.Log(fmt.Sprint(orders, " orders"))
		})
	}
}

// besides are what a sweep meets.
var besides = map[string]func(*world, context.Context){
	"A fetch":                        (*world).fetch,
	"A link of an old blob":          (*world).linkOld,
	"A tag that goes back":           (*world).moveBack,
	"A mirror of an old image":       (*world).mirrorOld,
	"A removed tag that comes back":  (*world).revive,
	"A pull of what is stored":       (*world).pull,
	"A tag that is removed":          (*world).remove,
	"A repository that becomes ours": (*world).firstPull,
}

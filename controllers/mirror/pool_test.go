package mirror

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crew are jobs that take a second each.
type crew struct {
	*pool
	mu            sync.Mutex
	order         []string
	running, most int
}

func (c *crew) work(host string, urgent bool, name string) *job {
	return c.add(host, urgent, func(context.Context) {
		c.note(name, 1)
		time.Sleep(time.Second)
		c.note("", -1)
	})
}

func (c *crew) note(name string, running int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != "" {
		c.order = append(c.order, name)
	}
	c.running += running
	c.most = max(c.most, c.running)
}

func (c *crew) ran() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

func TestPool_KeepsItsBoundsAndPassesAHostThatIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crew{pool: newPool(3, 2)}
		for _, name := range []string{"slow", "slow", "slow", "slow", "other", "other"} {
			c.work(name, false, name)
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"slow", "slow", "other"}, c.ran()); diff != "" {
			t.Errorf("at the start (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		c.close()
		if len(c.order) != 6 || c.most != 3 {
			t.Errorf("ran %v, at most %d at a time", c.order, c.most)
		}
	})
}

func TestPool_RunsUrgentJobsFirstAndNoneThatWasDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crew{pool: newPool(1, 1)}
		runs, waits := c.work("a", false, "first"), c.work("a", false, "dropped")
		c.work("a", false, "third")
		c.work("b", true, "second")
		if !c.drop(waits) || c.drop(runs) || runs.ctx.Err() == nil {
			t.Error("a job that waited ran, or one that runs was not told to end")
		}
		time.Sleep(time.Minute)
		c.close()
		c.work("a", true, "late")
		synctest.Wait()
		if diff := cmp.Diff([]string{"first", "second", "third"}, c.order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

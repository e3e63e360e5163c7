package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/hack/bench/internal/report"
)

// Between two kills there is a random time, two to six seconds.
const shortest, longest = 2 * time.Second, 6 * time.Second

// kills is about how long the kills take.
func kills(o Options) time.Duration { return time.Duration(o.Kills) * (shortest + longest) / 2 }

// killAtRandom kills the processes at random moments while the pods come, for as long as the kills take, and starts them again at once.
func (w *world) killAtRandom(ctx context.Context) (report.Row, error) {
	over := kills(w.o)
	w.o.Progress("creating %d pods over %s, with %d kills", w.o.Pods, over, w.o.Kills)
	killed := map[string]int{}
	start := time.Now()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return w.create(running, podsOf(w.c.images, w.o.Pods), over) })
	group.Go(func() error { return w.slayBoth(ctx, running, killed) })
	if err := group.Wait(); err != nil {
		return report.Row{}, err
	}
	last := time.Now()
	if err := w.settle(ctx); err != nil {
		return report.Row{}, err
	}
	steady := time.Now()
	w.o.Progress("steady %s after the last kill", steady.Sub(last).Round(time.Millisecond))
	if err := w.quiet(ctx); err != nil {
		return report.Row{}, err
	}
	if err := w.settle(ctx); err != nil {
		return report.Row{}, err
	}
	requests, err := w.take()
	updates, _ := w.view.updated()
	row := killedRow(w.o, killed, requests, updates)
	measure(&row, "everything right, after the first pod", "s").Add("both", steady.Sub(start).Seconds())
	measure(&row, "everything right, after the last kill", "s").Add("both", steady.Sub(last).Seconds())
	return row, err
}

// slayBoth starts the processes, and kills one of them as often as the options say, while running does not end. In the end both run, until
// ctx ends.
func (w *world) slayBoth(ctx, running context.Context, killed map[string]int) error {
	both := []*larder{w.controller, w.registry}
	for _, l := range both {
		if err := l.start(ctx); err != nil {
			return err
		}
	}
	for range w.o.Kills {
		if err := pause(running, shortest+rand.N(longest-shortest)); err != nil {
			return err
		}
		l := both[rand.IntN(len(both))]
		select {
		case <-l.Done():
			return fmt.Errorf("%s ended by itself: %w", l.name, l.Err())
		default:
		}
		l.Kill()
		killed[l.name]++
		if err := l.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

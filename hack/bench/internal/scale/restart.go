package scale

import (
	"context"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
	"github.com/larder-dev/larder/hack/bench/internal/cluster"
	"github.com/larder-dev/larder/hack/bench/internal/process"
)

// restart ends each process, gently and by a kill, and starts it again. That it works again shows in a pod that is created at that moment.
func (w *world) restart(ctx context.Context, r *rows) error {
	images := w.c.spare[w.o.Singles:]
	for i, how := range []struct {
		*larder
		label string
		end   func() error
	}{
		{w.controller, "controller, SIGTERM", w.stop(w.controller)}, {w.controller, "controller, SIGKILL", w.slay(w.controller)},
		{w.registry, "registry, SIGTERM", w.stop(w.registry)}, {w.registry, "registry, SIGKILL", w.slay(w.registry)},
	} {
		w.o.Progress("restarting the %s", how.label)
		if err := how.end(); err != nil {
			return err
		}
		again, err := w.again(ctx, how.larder, images[i])
		if err != nil {
			return err
		}
		r.restarted(how.label, again)
	}
	return nil
}

func (w *world) stop(l *larder) func() error { return func() error { return l.Stop() } }

func (w *world) slay(l *larder) func() error {
	return func() error {
		l.Kill()
		return nil
	}
}

// again is how a start in the steady state went.
type again struct {
	answers, seen, ready time.Duration // from the start of the process to its first answer, to a new pod's CachedImage, and to its Ready
	usage                process.Usage
	writes               int // to other objects than those of the new pod, mere timestamps aside
}

func (w *world) again(ctx context.Context, l *larder, probe image) (a again, err error) {
	start := time.Now()
	if err := l.start(ctx); err != nil {
		return a, err
	}
	a.answers = time.Since(start)
	watch, err := l.Watch()
	if err != nil {
		return a, err
	}
	if err := w.createOne(ctx, probe); err != nil {
		return a, err
	}
	if err := w.settle(ctx); err != nil {
		return a, err
	}
	seen, ready := w.view.moments(probe.name)
	a.seen, a.ready = seen.Sub(start), ready.Sub(start)
	if err := w.quiet(ctx); err != nil {
		return a, err
	}
	if a.usage, err = watch.Stop(); err != nil {
		return a, err
	}
	requests, err := w.take()
	for _, request := range writes(requests) {
		if !w.about(request, probe) {
			a.writes++
			w.o.Progress("%s %s", kind(request), request.Name)
		}
	}
	_, stamped := w.view.updated()
	for _, name := range stamped {
		if !w.about(audit.Request{Name: name}, probe) {
			a.writes--
		}
	}
	return a, err
}

// about says whether a write is to an object of an image, or an event of it, or that of a new leader.
func (w *world) about(r audit.Request, i image) bool {
	if r.Resource == "events" && strings.HasPrefix(r.Name, cluster.Controller+".") {
		return true
	}
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	for name := range w.view.images[i.name] {
		if r.Name == name || r.Resource == "events" && strings.HasPrefix(r.Name, name+".") {
			return true
		}
	}
	_, repository := w.view.repositories[i.full()][r.Name]
	return repository
}

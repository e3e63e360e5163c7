package scale

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/process"
)

// warmUp has a first pod served: the controller leads then, and both know what there is.
func (w *world) warmUp(ctx context.Context) error {
	if err := w.createOne(ctx, w.c.spare[len(w.c.spare)-1]); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := w.quiet(ctx); err != nil {
		return err
	}
	w.view.updated()
	_, err := w.take()
	return err
}

// burst creates all pods at once.
func (w *world) burst(ctx context.Context, r *rows) error {
	w.o.Progress("creating %d pods", w.o.Pods)
	watches, err := w.watch()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := w.create(ctx, podsOf(w.c.images, w.o.Pods), 0); err != nil {
		return err
	}
	created := time.Since(start)
	w.o.Progress("created in %s, waiting until all is right", created.Round(time.Second))
	if err := w.settle(ctx); err != nil {
		return err
	}
	steady := time.Since(start)
	if err := w.quiet(ctx); err != nil {
		return err
	}
	usages, err := stop(watches)
	if err != nil {
		return err
	}
	w.o.Progress("steady after %s", steady.Round(time.Second))
	r.created(created, steady)
	r.latencies(partBurst, w.latencies(w.c.images))
	r.used(partBurst, usages)
	return w.end(r, partBurst)
}

// single creates pods one at a time, each when the one before is served.
func (w *world) single(ctx context.Context, r *rows) error {
	w.o.Progress("creating %d pods one at a time", w.o.Singles)
	images := w.c.spare[:w.o.Singles]
	for i := range images {
		if err := w.createOne(ctx, images[i]); err != nil {
			return err
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
	r.latencies(partSingle, w.latencies(images))
	if err := w.quiet(ctx); err != nil {
		return err
	}
	return w.end(r, partSingle)
}

// createOne creates a pod that uses one image, alone.
func (w *world) createOne(ctx context.Context, i image) error {
	return w.create(ctx, []pod{{name: fmt.Sprintf("single-%s", i.Digest[7:23]), namespace: "shop-0", images: []image{i}}}, 0)
}

// health has every pod say that it runs.
func (w *world) health(ctx context.Context, r *rows) error {
	w.o.Progress("having %d pods run", w.o.Pods)
	watches, err := w.watch()
	if err != nil {
		return err
	}
	if err := w.run(ctx, podsOf(w.c.images, w.o.Pods)); err != nil {
		return err
	}
	if err := w.quiet(ctx); err != nil {
		return err
	}
	usages, err := stop(watches)
	if err != nil {
		return err
	}
	r.used(partHealth, usages)
	return w.end(r, partHealth)
}

// steady lets time pass.
func (w *world) steady(ctx context.Context, r *rows) error {
	w.o.Progress("letting %s pass", w.o.Steady)
	watches, err := w.watch()
	if err != nil {
		return err
	}
	if err := pause(ctx, w.o.Steady); err != nil {
		return err
	}
	usages, err := stop(watches)
	if err != nil {
		return err
	}
	r.used(partSteady, usages)
	for _, l := range []*larder{w.controller, w.registry} {
		anon, err := l.Anon()
		if err != nil {
			return err
		}
		r.rests(l.name, anon)
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	return w.end(r, partSteady)
}

// end notes what was written in a part.
func (w *world) end(r *rows, part string) error {
	requests, err := w.take()
	updates, stamped := w.view.updated()
	r.wrote(part, requests, updates, len(stamped))
	return err
}

// latency is how long after the creation of its first pod an image had its object, and was stored.
type latency struct{ seen, ready time.Duration }

func (w *world) latencies(images []image) []latency {
	expected := w.expect.all()
	found := make([]latency, len(images))
	for i, image := range images {
		seen, ready := w.view.moments(image.name)
		since := expected[image.name].since
		found[i] = latency{seen.Sub(since), ready.Sub(since)}
	}
	return found
}

// watch begins to measure both processes.
func (w *world) watch() (map[string]*process.Watch, error) {
	watches := map[string]*process.Watch{}
	for _, l := range []*larder{w.controller, w.registry} {
		watch, err := l.Watch()
		if err != nil {
			return nil, err
		}
		watches[l.name] = watch
	}
	return watches, nil
}

func stop(watches map[string]*process.Watch) (map[string]process.Usage, error) {
	usages := map[string]process.Usage{}
	for name, watch := range watches {
		usage, err := watch.Stop()
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", name, err)
		}
		usages[name] = usage
	}
	return usages, nil
}

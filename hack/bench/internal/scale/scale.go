// Package scale measures larder controller and larder registry in a cluster with many pods: a real API server, a real origin, and the two
// processes under their own roles. It looks at them from outside: at objects, at the API server's audit log and at /proc. A figure counts
// only where everything is right at the end: one Ready CachedImage for each image, with its users, and one Repository for each repository.
package scale

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// Options say what is measured.
type Options struct {
	Pods, Images int
	Singles      int           // pods that come one at a time, each with an image of its own
	Steady       time.Duration // how long nothing happens
	Kills        int           // of the two processes together; 0: no such run
	Dir          string        // for contents, stores and logs
	Root         string        // of Larder's module
	Binaries     server.Binaries
	Progress     func(format string, args ...any)
}

const (
	restarts = 4 // in the steady state: of each process, a gentle one and a kill
	probes   = restarts + 1
)

// Run measures, and returns the rows of the report.
func Run(ctx context.Context, o Options) ([]report.Row, error) {
	log.SetLogger(logr.Discard()) // what following objects has to say
	o.Progress("making %d images", o.Images+o.Singles+probes)
	c, err := newCatalogue(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.origin.Kill()
	rows, err := o.undisturbed(ctx, c)
	if err != nil || o.Kills == 0 {
		return rows, err
	}
	killed, err := o.killed(ctx, c)
	return append(rows, killed), err
}

// undisturbed is the run in which nothing fails.
func (o Options) undisturbed(ctx context.Context, c *catalogue) (_ []report.Row, err error) {
	w, err := newWorld(ctx, o, c, filepath.Join(o.Dir, "undisturbed"))
	if err != nil {
		return nil, err
	}
	defer func() { err = w.close(err) }()
	for _, l := range []*larder{w.controller, w.registry} {
		if err := l.start(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.warmUp(ctx); err != nil {
		return nil, err
	}
	r := newRows(o)
	for _, part := range []func(context.Context, *rows) error{w.burst, w.single, w.health, w.steady, w.restart} {
		if err := part(ctx, r); err != nil {
			return nil, err
		}
	}
	return r.all(), w.verify(ctx)
}

// killed is the run in which the processes are killed while the pods come.
func (o Options) killed(ctx context.Context, c *catalogue) (row report.Row, err error) {
	w, err := newWorld(ctx, o, c, filepath.Join(o.Dir, "killed"), "--leader-elect=false")
	if err != nil {
		return row, err
	}
	defer func() { err = w.close(err) }()
	if row, err = w.killAtRandom(ctx); err != nil {
		return row, err
	}
	return row, w.verify(ctx)
}

// close ends the processes and the cluster. Where there was an error, it adds what the processes said last.
func (w *world) close(err error) error {
	for _, l := range []*larder{w.controller, w.registry} {
		if err != nil {
			err = fmt.Errorf("%w\n%s said last:\n%s", err, l.name, l.last())
		}
		l.kill()
	}
	w.endView()
	return errors.Join(err, w.cluster.Stop())
}

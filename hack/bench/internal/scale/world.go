package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
	"github.com/larder-dev/larder/hack/bench/internal/cluster"
)

const (
	limit = 20 * time.Minute // for everything to be right
	calm  = 10 * time.Second // without a write, after which none is left
)

// world is a cluster with the two processes, which are not started yet.
type world struct {
	o        Options
	c        *catalogue
	cluster  *cluster.Cluster
	expect   *expectation
	view     *view
	endView  func()
	requests []audit.Request // of the part that runs

	controller, registry *larder
}

func newWorld(ctx context.Context, o Options, c *catalogue, dir string, controllerFlags ...string) (*world, error) {
	o.Progress("starting a cluster")
	w := &world{o: o, c: c, expect: newExpectation(), endView: func() {}}
	var err error
	if w.cluster, err = cluster.Start(ctx, o.Root, filepath.Join(dir, "cluster")); err != nil {
		return nil, err
	}
	w.controller = w.larder(dir, cluster.Controller, append([]string{"controller", "--webhook=false"}, controllerFlags...))
	w.registry = w.larder(dir, cluster.Registry, []string{"registry"})
	w.registry.listens = true
	config := filepath.Join(w.registry.dir, "larder.yaml")
	for _, l := range []*larder{w.controller, w.registry} {
		err = errors.Join(err, os.MkdirAll(l.dir, 0o755))
	}
	err = errors.Join(err, os.WriteFile(config, []byte(c.config()), 0o644), w.createNamespaces(ctx))
	if err == nil {
		w.view, w.endView, err = startView(ctx, w.cluster.Config)
	}
	if err != nil {
		return nil, errors.Join(err, w.cluster.Stop())
	}
	return w, nil
}

func (w *world) larder(dir, user string, args []string) *larder {
	args = append(args, "--kubeconfig", w.cluster.Kubeconfigs[user], "--namespace", cluster.Namespace)
	return &larder{name: user, binary: w.o.Binaries.Larder, args: args, dir: filepath.Join(dir, user)}
}

// settle waits until everything is as it must be.
func (w *world) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	images := w.expect.all()
	for {
		problems := w.view.wrong(images)
		if len(problems) == 0 {
			return nil
		}
		if err := pause(ctx, poll); err != nil {
			return fmt.Errorf("%w: %d things are wrong, such as:\n%s", err, len(problems), strings.Join(problems[:min(len(problems), 10)], "\n"))
		}
	}
}

// quiet waits until nothing has been written for a while.
func (w *world) quiet(ctx context.Context) error {
	for last := time.Now(); time.Since(last) < calm; {
		before := len(writes(w.requests))
		if err := w.listen(); err != nil {
			return err
		}
		if len(writes(w.requests)) > before {
			last = time.Now()
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
	return nil
}

// listen takes what the API server has answered.
func (w *world) listen() error {
	more, err := w.cluster.Audit.Next()
	w.requests = append(w.requests, more...)
	return err
}

// writes leaves out what keeps a Lease: that goes on for ever, and tells nothing of images.
func writes(requests []audit.Request) (found []audit.Request) {
	for _, r := range requests {
		if r.Write() && r.Resource != "leases" {
			found = append(found, r)
		}
	}
	return found
}

// take returns what the two processes asked of the API server since it was called last.
func (w *world) take() ([]audit.Request, error) {
	err := w.listen()
	taken := w.requests
	w.requests = nil
	return taken, err
}

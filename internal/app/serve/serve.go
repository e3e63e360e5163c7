// Package serve is larder serve: the whole cache in one process. It wires the parts together, in an order, and takes them down
// again; it holds no rules of its own.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/version"
	"github.com/larder-dev/larder/proxy"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// drain is how long clients that are reading may go on after the end was asked for.
	drain = 30 * time.Second
	// grace is how long clients that wait for an origin may go on.
	grace = 400 * time.Millisecond
)

// process is a running larder serve.
type process struct {
	options   serve.Options
	log       logr.Logger
	registry  *prometheus.Registry
	metrics   *metrics.Metrics
	policies  *policy.Current
	manifests *manifests
	owner     *owner.Owner
	main      net.Listener
	admin     net.Listener
	control   net.Listener // nil where there is none
	read      summary
	ready     atomic.Bool
}

// Run serves until ctx ends, then until clients that are reading are done, for 30 s at most. In text format it says on out, in
// a person's words, what it serves and how to try it; all else goes to log.
func Run(ctx context.Context, o serve.Options, out io.Writer, log logr.Logger) error {
	p := newProcess(o, log)
	err := p.open(ctx)
	if err == nil {
		err = p.announce(out)
	}
	if err == nil {
		err = p.serve(ctx)
	}
	return errors.Join(err, p.close())
}

func newProcess(o serve.Options, log logr.Logger) *process {
	registry := newRegistry()
	p := &process{options: o, log: log, registry: registry, metrics: metrics.New(registry), policies: &policy.Current{}}
	p.manifests = &manifests{
		folder: owner.Folder(o.Cache), defaults: o.Defaults, current: p.policies,
		changed: make(chan struct{}, 1), problems: p.metrics.ManifestProblems, log: log.WithName("manifests"),
	}
	p.metrics.BuildInfo.WithLabelValues(version.Version()).Set(1)
	return p
}

// open takes the data folder, reads the policies and only then listens.
func (p *process) open(ctx context.Context) (err error) {
	p.owner, err = owner.Open(ctx, owner.Options{
		Cache: p.options.Cache, Policies: p.policies, Self: p.self, Metrics: p.metrics, Log: p.log,
	})
	if errors.Is(err, store.ErrOwned) {
		return fmt.Errorf("%w: stop it, or give this one a folder of its own with --data", err)
	}
	if err != nil {
		return err
	}
	if p.read, err = p.manifests.load(); err != nil {
		return err
	}
	if p.admin, err = httpx.Listen(ctx, p.options.MetricsListen); err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	if p.main, err = httpx.Listen(ctx, p.options.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	// A data folder that went read-only takes no socket, but can still be served from.
	if p.control, err = control.Listen(ctx, store.SocketPath(p.options.Data)); err != nil {
		p.log.Error(err, "larder pull cannot hand its work to this process")
	}
	return nil
}

// self are the host:port pairs under which this process is reached.
func (p *process) self() []string {
	var pairs []string
	for _, listener := range []net.Listener{p.main, p.admin} {
		if listener == nil {
			continue
		}
		address := listener.Addr().String()
		pairs = append(pairs, address, reachable(address))
	}
	return pairs
}

func (p *process) announce(out io.Writer) error {
	a := announcement{
		listen: p.main.Addr().String(), metrics: p.admin.Addr().String(),
		storage: p.storage(), manifests: p.options.Manifests, read: p.read,
		registries: p.options.Registries, warnings: idle(p.options.Defaults),
	}
	if p.options.LogFormat == "text" {
		return a.print(out)
	}
	a.log(p.log)
	return nil
}

// storage says where the images are, in a person's words.
func (p *process) storage() string {
	if root, ok := p.options.Storage.Parameters["rootdirectory"].(string); ok && p.options.Storage.Driver == "filesystem" {
		return root
	}
	if driver := p.options.Storage.Driver; driver != "" && driver != "filesystem" {
		return driver + ", with transfers in " + p.options.Data
	}
	return p.options.Data
}

// serve answers until ctx ends, and then while clients are reading. A listener that fails ends it as well.
func (p *process) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	probes, endProbes := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, p.end)()
	group.Go(func() error {
		return httpx.Serve(probes, p.admin, health(p.registry, &p.ready), httpx.Options{Log: p.log.WithName("probes"), Drain: grace})
	})
	group.Go(func() error {
		defer endProbes()
		return httpx.Serve(ctx, p.main, p.handler(), httpx.Options{Log: p.log.WithName("server"), Drain: drain})
	})
	if p.control != nil {
		group.Go(func() error { return control.Serve(ctx, p.control, p.owner.Cache, p.log.WithName("control")) })
	}
	p.background(ctx, group)
	p.ready.Store(true)
	return group.Wait()
}

// handler is the face to container runtimes.
func (p *process) handler() http.Handler {
	face := proxy.New(p.owner.Cache, proxy.Options{Self: p.self, Log: p.log.WithName("proxy")})
	return httpx.Observe(p.metrics, p.log.WithName("access"), face)
}

// end begins the end: those who wait for an origin get a moment, those who read get the whole time to drain.
func (p *process) end() {
	p.ready.Store(false)
	p.log.Info("stopping")
	time.AfterFunc(grace, p.owner.Cache.Stop)
}

// close takes down what is left, also of a process that did not come up.
func (p *process) close() error {
	for _, listener := range []net.Listener{p.main, p.admin, p.control} {
		if listener != nil {
			_ = listener.Close() // closed already where it was served
		}
	}
	if p.owner == nil {
		return nil
	}
	return p.owner.Close()
}

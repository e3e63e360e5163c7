// Package proxy is larder-proxy: a node's relay with its listeners. It wires the parts together, in an order, and takes them down again;
// it holds no rules of its own.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/admin"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	options "github.com/larder-dev/larder/internal/options/proxy"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/version"
	"github.com/larder-dev/larder/proxy/relay"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// probesGrace is how long a probe that is being answered may take when the process ends.
	probesGrace = 400 * time.Millisecond
	// freshGrace is how long a connection may then take to carry its first request: it is on its way, since nothing connects any more.
	freshGrace = time.Second
)

// process is a running larder-proxy.
type process struct {
	o           options.Options
	log         logr.Logger
	gatherer    prometheus.Gatherer
	metrics     *metrics.Metrics
	replicas    *relay.Replicas
	origin      *upstream.Client // nil where none is to be asked
	relay       *relay.Handler
	main, admin net.Listener
	ready       atomic.Bool
}

// Run relays until ctx ends, then until running pulls are done, for o.Drain at most. It is ready as soon as it listens: what it does
// not know of the registry yet, the origin answers.
func Run(ctx context.Context, o options.Options, out io.Writer, log logr.Logger) error {
	p, err := newProcess(o, log)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.listen(ctx); err != nil {
		return err
	}
	if err := p.announce(out); err != nil {
		return err
	}
	return p.serve(ctx)
}

func newProcess(o options.Options, log logr.Logger) (*process, error) {
	registry := admin.NewRegistry()
	p := &process{o: o, log: log, gatherer: registry, metrics: metrics.New(registry)}
	p.metrics.BuildInfo.WithLabelValues(version.Version()).Set(1)
	counts := metrics.NewRelay(registry)
	p.replicas = relay.NewReplicas(o.Registry, net.DefaultResolver.LookupHost, counts.Replicas, log.WithName("replicas"))
	var known *relay.Names
	if o.Fallback != options.FallbackNever {
		var err error
		known = relay.OpenNames(o.State, log.WithName("names"))
		p.origin, err = upstream.New(upstream.Options{
			Registries: o.Registries, Allowed: o.Allowed, Sources: known.Sources, UserAgent: "larder-proxy/" + version.Version(), Self: p.self,
			Metrics: p.metrics, Log: log.WithName("origin"),
		})
		if err != nil {
			return nil, fmt.Errorf("preparing for origins: %w", err)
		}
	}
	p.relay = relay.New(relay.Options{
		Replicas: p.replicas, Origin: p.origin, Names: known, HoldUntold: o.Fallback == options.FallbackTold, Token: o.Token, Trust: o.Trust, Node: o.Node,
		Metrics: counts, Log: log.WithName("relay"),
	})
	return p, nil
}

// listen opens the listeners, beside those of a process that is about to end.
func (p *process) listen(ctx context.Context) (err error) {
	if p.admin, err = httpx.ListenBeside(ctx, p.o.MetricsListen); err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	if p.main, err = httpx.ListenBeside(ctx, p.o.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	return nil
}

// self are the host:port pairs under which this process is reached.
func (p *process) self() []string {
	var pairs []string
	for _, ln := range []net.Listener{p.main, p.admin} {
		if ln != nil {
			pairs = append(pairs, ln.Addr().String())
		}
	}
	return pairs
}

func (p *process) announce(out io.Writer) error {
	if p.o.LogFormat != "text" {
		p.log.Info("listening", "version", version.Version(), "listen", p.main.Addr().String(),
			"metricsListen", p.admin.Addr().String(), "registry", p.o.Registry, "mirrorMode", p.o.MirrorMode)
		return nil
	}
	_, err := fmt.Fprintf(out, "Larder listens on %s (metrics and health on %s).\nPulls are relayed to %v.\n",
		p.main.Addr(), p.admin.Addr(), p.o.Registry)
	return err
}

func (p *process) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	probes, endProbes := context.WithCancel(context.WithoutCancel(ctx))
	p.ready.Store(true)
	group.Go(func() error {
		<-ctx.Done()
		p.handOver(stop)
		return nil
	})
	group.Go(func() error {
		return httpx.Serve(probes, p.admin, admin.Handler(p.gatherer, p.check),
			httpx.Options{Log: p.log.WithName("probes"), Drain: probesGrace})
	})
	group.Go(func() error {
		defer endProbes()
		defer stop()
		face := httpx.Observe(p.metrics, logging.NewTyped(p.log.WithName("access")), p.relay)
		return httpx.Serve(serving, p.main, face, httpx.Options{Log: p.log.WithName("server"), Drain: p.o.Drain, Fresh: freshGrace})
	})
	for _, run := range []func(context.Context){p.replicas.Run, p.relay.Run, p.relay.Learn} {
		group.Go(func() error {
			run(probes) // as long as a pull runs
			return nil
		})
	}
	return group.Wait()
}

// handOver begins the end: what connects from now on goes to the process that listens beside this one, if there is one.
func (p *process) handOver(stop func()) {
	p.ready.Store(false)
	p.log.Info("stopping")
	for _, ln := range []net.Listener{p.admin, p.main} {
		if err := httpx.HandOver(ln); err != nil {
			p.log.Error(err, "connections that come while the process ends may be reset")
		}
	}
	stop()
}

func (p *process) check() error {
	if !p.ready.Load() {
		return errors.New("not listening")
	}
	return nil
}

// close takes down what is left, also of a process that did not come up.
func (p *process) close() {
	for _, ln := range []net.Listener{p.main, p.admin} {
		if ln != nil {
			_ = ln.Close() // closed already where it was served
		}
	}
	p.relay.Close()
	if p.origin != nil {
		p.origin.Close()
	}
}

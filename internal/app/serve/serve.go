// Package serve is larder serve: the whole cache in one process. It wires the parts together, in an order, and takes them down
// again; it holds no rules of its own.
package serve

import (
	"context"
	"errors"
	"io"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/admin"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/app/server"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/version"
)

// process is a running larder serve.
type process struct {
	options   serve.Options
	log       logr.Logger
	metrics   *metrics.Metrics
	policies  *policy.Current
	manifests *manifests
	server    *server.Server
	read      summary
	changed   changedTags
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
		err = p.server.Serve(ctx, p.manifests.watch, p.mirror, p.tellChanges)
	}
	return errors.Join(err, p.server.Close())
}

func newProcess(o serve.Options, log logr.Logger) *process {
	registry := admin.NewRegistry()
	p := &process{options: o, log: log, metrics: metrics.New(registry), policies: &policy.Current{}}
	p.metrics.BuildInfo.WithLabelValues(version.Version()).Set(1)
	p.manifests = &manifests{
		folder: owner.Folder(o.Cache), defaults: o.Defaults, current: p.policies,
		changed: make(chan struct{}, 1), problems: p.metrics.ManifestProblems, log: log.WithName("manifests"),
	}
	var onTag func(imageref.Repository, string)
	if o.Events.Sink != nil {
		onTag = p.changed.add
	}
	p.server = server.New(server.Options{
		Options: owner.Options{Cache: o.Cache, Policies: p.policies, Metrics: p.metrics, Log: log, OnTag: onTag, OnEvict: p.evicting},
		Listen:  o.Listen, MetricsListen: o.MetricsListen, Gatherer: registry,
		Changes: metrics.NewEvents(registry), Source: source(),
	})
	return p
}

// open takes the data folder, reads the policies and only then listens.
func (p *process) open(ctx context.Context) (err error) {
	if err := p.server.Open(ctx); err != nil {
		return err
	}
	if p.read, err = p.manifests.load(); err != nil {
		return err
	}
	return p.server.Listen(ctx)
}

func (p *process) announce(out io.Writer) error {
	a := announcement{
		storage: p.server.Storage(), manifests: p.options.Manifests, read: p.read,
		registries: p.options.Registries, warnings: idle(p.options.Defaults),
	}
	a.listen, a.metrics = p.server.Addresses()
	if p.options.LogFormat == "text" {
		return a.print(out)
	}
	a.log(p.log)
	return nil
}

// evicting tells of an image that is about to be removed since the store is larger than its limit.
func (p *process) evicting(ref imageref.Reference, image cache.Image) { p.server.Evicting(ref, image) }

// mirror brings in what CachedImages ask for until ctx ends.
func (p *process) mirror(ctx context.Context) {
	wants := func() []wanted { return wantedOf(p.policies.Load()) }
	newMirrors(p.server.Cache(), p.metrics, p.log.WithName("mirror")).run(ctx, wants, p.manifests.changed)
}

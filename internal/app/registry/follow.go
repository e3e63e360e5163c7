package registry

import (
	"context"
	"errors"
	"time"

	granted "github.com/larder-dev/larder/controllers/access"
	"github.com/larder-dev/larder/controllers/mirror"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/usage"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// follow keeps the cache in step with the API server until ctx ends, whatever goes wrong.
func (p *process) follow(ctx context.Context) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := p.manage(ctx)
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		if ctx.Err() != nil {
			return
		}
		p.log.Error(err, "what follows the API server ended; starting it again", "retryIn", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// manage runs the controllers until ctx ends, or one of them fails for good.
func (p *process) manage(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := kube.NewManager(ctx, kube.Options{Config: p.config, Log: p.log})
	if err != nil {
		return err
	}
	recorder := m.GetEventRecorder(name)
	o := mirror.Options{
		Client: m.GetClient(), Cache: p.server.Cache(), Policies: p.policies, Events: recorder, Changes: p.server.Teller(),
		Mirrors: p.options.Mirrors,
	}
	if p.share != nil {
		o.Share = p.share
	}
	mirrors := mirror.New(o)
	if keeper := p.server.Grants(); keeper != nil {
		if err := granted.New(m.GetClient(), keeper, p.owns).Register(m); err != nil {
			return err
		}
	}
	err = errors.Join(
		usage.IndexPods(ctx, m.GetFieldIndexer(), p.options.Cluster.Scope),
		usage.IndexImages(ctx, m.GetFieldIndexer()),
		usage.IndexRepositories(ctx, m.GetFieldIndexer()),
		m.Add(manager.RunnableFunc(func(ctx context.Context) error { p.synced(ctx, m); return nil })),
		p.watchPods(ctx, m),
		p.follower.Register(m),
		mirrors.Register(m),
	)
	if err != nil {
		return err
	}
	p.mirror.Store(mirrors)
	p.pressure.Store(&pressure{p.options.Cluster.Pod, recorder})
	p.events.Store(&recorder)
	return m.Start(ctx)
}

// synced is called once the manager's cache holds everything.
func (p *process) synced(ctx context.Context, m manager.Manager) {
	if ctx.Err() != nil {
		return
	}
	p.pods.Use(m.GetCache())
	if keeper := p.server.Grants(); keeper != nil {
		keeper.PodsKnown(ctx)
	}
}

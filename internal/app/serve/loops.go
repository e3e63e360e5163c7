package serve

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// checkEvery is how often the tags of periodic policies are looked through for those that are due.
	checkEvery = 10 * time.Second
	// expireEvery is how often unused tags are looked for.
	expireEvery = 10 * time.Minute
)

// every calls do at each tick until ctx ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do(ctx)
		}
	}
}

// background adds to group what nobody asked for over the wire. All of it ends with ctx and none of it fails.
func (p *process) background(ctx context.Context, group *errgroup.Group) {
	mirrors := newMirrors(p.owner.Cache, p.metrics, p.log.WithName("mirror"))
	wants := func() []wanted { return wantedOf(p.policies.Load()) }
	loops := []func(){
		func() { p.manifests.watch(ctx) },
		func() { mirrors.run(ctx, wants, p.manifests.changed) },
		func() { every(ctx, checkEvery, p.owner.Cache.CheckPeriodic) },
		func() { every(ctx, expireEvery, p.expire) },
	}
	for _, loop := range loops {
		group.Go(func() error {
			loop()
			return nil
		})
	}
}

func (p *process) expire(ctx context.Context) {
	if err := p.owner.Cache.ExpireUnused(ctx); err != nil && ctx.Err() == nil {
		p.log.Error(err, "expiring unused tags")
	}
}

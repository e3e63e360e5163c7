package server

import (
	"context"
	"time"
)

const (
	// checkEvery is how often the tags of periodic policies are looked through for those that are due.
	checkEvery = 10 * time.Second
	// expireEvery is how often unused tags are looked for.
	expireEvery = 10 * time.Minute
)

// routine is what the cache does although nobody asks for it.
func (s *Server) routine() []func(context.Context) {
	return []func(context.Context){
		func(ctx context.Context) { every(ctx, checkEvery, s.owner.Cache.CheckPeriodic) },
		func(ctx context.Context) { every(ctx, expireEvery, s.expire) },
	}
}

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

func (s *Server) expire(ctx context.Context) {
	if err := s.owner.Cache.ExpireUnused(ctx); err != nil && ctx.Err() == nil {
		s.o.Log.Error(err, "expiring unused tags")
	}
}

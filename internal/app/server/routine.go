package server

import (
	"context"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/store"
)

const (
	// checkEvery is how often the tags of periodic policies are looked through for those that are due.
	checkEvery = 10 * time.Second
	// expireEvery is how often unused tags are looked for.
	expireEvery = 10 * time.Minute
	// evictEvery is how often it is looked whether the store has grown beyond its limit.
	evictEvery = 5 * time.Minute
	// sweepFirst is when a process that has just started goes on with what another one found.
	sweepFirst = 5 * time.Minute
	// scrubFirst is how long a scrub leaves a process alone that has just started, or that it could not work for.
	scrubFirst = time.Minute
)

// routine is what the cache does although nobody asks for it. From a shared store one process deletes at a time: the leader.
func (s *Server) routine() []func(context.Context) {
	routine := []func(context.Context){
		func(ctx context.Context) { every(ctx, checkEvery, s.owner.Cache.CheckPeriodic) },
		func(ctx context.Context) { every(ctx, expireEvery, s.expire) },
	}
	switch deletes := []func(context.Context){s.sweep, s.scrub, s.evict}; {
	case !s.owner.Cache.Shared():
		return append(routine, deletes...)
	case s.o.Lead != nil:
		return append(routine, func(ctx context.Context) { s.lead(ctx, deletes) })
	}
	s.o.Log.Info("nothing is swept, evicted or scrubbed: other processes may write to this object storage; " +
		"where none does, write objectStorage.exclusive: true")
	return routine
}

// lead does what deletes each time that this process leads.
func (s *Server) lead(ctx context.Context, deletes []func(context.Context)) {
	s.o.Lead(ctx, func(ctx context.Context) {
		s.owner.Cache.Lead(ctx, func(ctx context.Context) {
			s.o.Log.Info("this replica sweeps, evicts and scrubs")
			var wg sync.WaitGroup
			for _, run := range deletes {
				wg.Go(func() { run(ctx) })
			}
			wg.Wait()
			<-ctx.Done() // also where all of it is switched off: larder sweep may ask for one
		})
	})
}

// sweep sweeps at each interval, and as soon as what was found unreachable may be deleted.
func (s *Server) sweep(ctx context.Context) {
	interval := s.o.Sweep.Interval
	if interval <= 0 {
		return
	}
	for wait := min(interval, sweepFirst); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = interval
		s.inTurn(ctx, func() {
			report, err := s.owner.Cache.Sweep(ctx, -1, false)
			if err != nil && ctx.Err() == nil {
				s.o.Log.Error(err, "nothing more is swept until the next time")
			}
			if rest := time.Until(report.Next); rest > 0 {
				wait = min(wait, rest)
			}
		})
	}
}

// inTurn runs do once nothing else that is done in turn runs; not if ctx ends before.
func (s *Server) inTurn(ctx context.Context, do func()) {
	select {
	case s.sweeps <- struct{}{}:
		defer func() { <-s.sweeps }()
		do()
	case <-ctx.Done():
	}
}

// evict keeps the store within its limit, if it has one.
func (s *Server) evict(ctx context.Context) {
	if s.o.Limit.High <= 0 {
		return
	}
	every(ctx, evictEvery, func(ctx context.Context) {
		s.inTurn(ctx, func() {
			if err := s.owner.Cache.Evict(ctx, s.o.Limit); err != nil && ctx.Err() == nil {
				s.o.Log.Error(err, "keeping the store within its limit")
			}
		})
	})
}

// scrub hashes the store part by part, for as long as the process runs.
func (s *Server) scrub(ctx context.Context) {
	if s.o.ScrubPeriod <= 0 {
		return
	}
	store.Idle()
	for wait := scrubFirst; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		next, err := s.owner.Cache.Scrub(ctx, s.o.ScrubPeriod)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error(err, "scrubbing goes on later")
		}
		wait = max(time.Until(next), scrubFirst)
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

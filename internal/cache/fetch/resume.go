package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-dev/larder/internal/upstream"
)

// resume connects again where the last connection broke, until it succeeds, the attempts that bring no byte are used up, or the
// origin says what no attempt will change.
func (s *source) resume(ctx context.Context) error {
	for s.barren < len(s.m.pauses) {
		if err := pause(ctx, s.pause()); err != nil {
			return err
		}
		err := s.connect(ctx)
		if err == nil {
			s.noteResumed()
			return nil
		}
		if !transient(err) {
			return fmt.Errorf("resuming at byte %d: %w", s.offset, err)
		}
		s.broken = err
		s.barren++
	}
	return fmt.Errorf("resuming at byte %d: %w", s.offset, s.broken)
}

// pause is how long to wait before the next attempt.
func (s *source) pause() time.Duration {
	d := s.m.pauses[s.barren]
	if up, ok := errors.AsType[*upstream.Error](s.broken); ok {
		d = max(d, min(up.RetryAfter, maxRetryAfter))
	}
	return d
}

// noteResumed counts and logs. A source that goes on for a broken spool has had no connection that could have broken.
func (s *source) noteResumed() {
	if s.broken == nil {
		return
	}
	s.m.metrics.FetchResumes.Inc()
	s.m.log.Info("blob fetch resumed", "origin", s.host(), "repository", s.repo.String(), "digest", s.desc.Digest,
		"offset", s.offset, "cause", s.broken.Error())
}

// transient says whether another attempt may do better.
func transient(err error) bool {
	var up *upstream.Error
	if !errors.As(err, &up) {
		return false
	}
	switch up.Reason {
	case upstream.Unreachable, upstream.RateLimited, upstream.Denied:
		return true
	}
	return false
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

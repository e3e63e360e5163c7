package kube

import (
	"context"
	"slices"

	"github.com/go-logr/logr"
)

// quiet makes a debug message of each message of Kubernetes' libraries that is about themselves: which sources and workers they start and
// stop. What reconciles say, and errors, it leaves alone, until ctx ends: what fails then fails because of that.
func quiet(ctx context.Context, log logr.Logger) logr.Logger {
	if log.GetSink() == nil {
		return log
	}
	return log.WithSink(quietSink{LogSink: log.GetSink(), ended: func() bool { return ctx.Err() != nil }})
}

type quietSink struct {
	logr.LogSink
	ended func() bool
	loud  bool // it is a reconcile's
}

// reconcileID is the key that controller-runtime adds to the logger of each reconcile.
const reconcileID = "reconcileID"

func (s quietSink) level(level int) int {
	if s.loud {
		return level
	}
	return level + 1
}

func (s quietSink) Enabled(level int) bool { return s.LogSink.Enabled(s.level(level)) }

func (s quietSink) Info(level int, message string, values ...any) {
	s.LogSink.Info(s.level(level), message, values...)
}

func (s quietSink) Error(err error, message string, values ...any) {
	if !s.ended() {
		s.LogSink.Error(err, message, values...)
	} else if s.LogSink.Enabled(1) {
		s.LogSink.Info(1, message, append([]any{"error", err}, values...)...)
	}
}

func (s quietSink) WithValues(values ...any) logr.LogSink {
	return quietSink{s.LogSink.WithValues(values...), s.ended, s.loud || slices.Contains(values, any(reconcileID))}
}

func (s quietSink) WithName(name string) logr.LogSink {
	return quietSink{s.LogSink.WithName(name), s.ended, s.loud}
}

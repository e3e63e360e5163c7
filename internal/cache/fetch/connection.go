package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/larder-dev/larder/internal/upstream"
)

var errIdle = errors.New("the origin sends nothing")

// connection is one request to an origin. Its watchdog runs only while we wait for the origin: that a client of ours takes its
// time is not the origin's idleness.
type connection struct {
	blob     *upstream.Blob
	at       int64 // of the next byte, in the blob
	fed      bool  // it brought a byte that was not there before
	err      error // what its body ended with
	idle     time.Duration
	watchdog *time.Timer
	cancel   context.CancelFunc
	isIdle   func() bool // whether the watchdog ended it
}

// newConnection returns a connection whose watchdog runs already.
func newConnection(idle time.Duration, cancel context.CancelCauseFunc, isIdle func() bool) *connection {
	return &connection{
		idle:     idle,
		watchdog: time.AfterFunc(idle, func() { cancel(errIdle) }),
		cancel:   func() { cancel(nil) },
		isIdle:   isIdle,
	}
}

// dial asks the origin for a part of a blob; length < 0 is all the rest. It returns *upstream.Error, or the cause of ctx's end.
func (s *source) dial(ctx context.Context, length int64) (*connection, error) {
	connCtx, cancel := context.WithCancelCause(ctx)
	c := newConnection(s.m.idle, cancel, func() bool { return errors.Is(context.Cause(connCtx), errIdle) })
	blob, err := s.m.origin.Blob(connCtx, s.repo, s.desc.Digest, s.offset, length)
	c.watchdog.Stop()
	if err != nil {
		defer cancel(nil)
		return nil, s.failure(ctx, c, err)
	}
	c.blob, c.at = blob, blob.Offset
	return c, nil
}

// failure says in the caller's terms why a connection failed.
func (s *source) failure(ctx context.Context, c *connection, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case c.isIdle():
		return &upstream.Error{Reason: upstream.Unreachable, Host: s.host(), Timeout: true, Err: errIdle}
	case errors.As(err, new(*upstream.Error)):
		return err
	}
	return &upstream.Error{Reason: upstream.Unreachable, Host: s.host(), Err: err}
}

// read reads from the body. An error comes alone, after the bytes before it.
func (c *connection) read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.watchdog.Reset(c.idle)
	n, err := c.blob.Body.Read(p)
	c.watchdog.Stop()
	c.at += int64(n)
	c.err = err
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (c *connection) close() {
	c.watchdog.Stop()
	c.cancel()
	_ = c.blob.Body.Close()
}

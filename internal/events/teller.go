// Package events tells of changes of images: it counts each, and sends it as a CloudEvent to a sink, where there is one. It never decides
// that something changed, and it never lets a sink hold up who tells: an event is written to a folder, and sent from there in the
// background, in order, until the sink has taken it.
package events

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/larder-dev/larder/internal/metrics"
)

// Limit is how many events wait for a sink that does not take them. Then the oldest go.
const Limit = 10_000

// Options configure a Teller.
type Options struct {
	Sink    *Sink  // nil: changes are counted alone
	Source  string // of the events: a URI reference that says which Larder tells
	Dir     string // in which events wait for the sink
	Limit   int    // how many may; 0: Limit
	Metrics *metrics.Events
	Log     logr.Logger
	Now     func() time.Time // nil: time.Now
}

// Teller tells of changes. It is safe for concurrent use. A nil Teller tells nobody.
type Teller struct {
	o      Options
	outbox *outbox // nil where there is no sink
	retry  time.Duration
}

// New returns a teller. What waits in its folder since an earlier process is sent first.
func New(o Options) (*Teller, error) {
	if o.Limit <= 0 {
		o.Limit = Limit
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Teller{o: o, retry: firstRetry}
	if o.Sink == nil {
		return t, nil
	}
	var err error
	if t.outbox, err = openOutbox(o.Dir, o.Limit); err != nil {
		return nil, err
	}
	t.o.Metrics.Waiting.Set(float64(t.outbox.len()))
	return t, nil
}

// Tell counts a change and has it sent. When it returns, the event survives a restart: who notes that it was told does so afterwards, and
// tells again where that note is lost, with the same ID. It waits for no sink. What cannot be kept is dropped, counted and logged: a
// disk that is full is no reason to stop.
func (t *Teller) Tell(c Change) {
	if t == nil {
		return
	}
	t.o.Metrics.Changes.WithLabelValues(string(c.Kind)).Inc()
	if t.outbox == nil {
		return
	}
	if c.At.IsZero() {
		c.At = t.o.Now()
	}
	dropped, err := t.outbox.add(t.o.Now(), func(number int64) ([]byte, error) { return c.encode(t.o.Source, number) })
	if err != nil {
		t.drop("storage", err, "image", c.Image, "kind", string(c.Kind))
	}
	if dropped {
		t.drop("full", nil, "limit", t.o.Limit)
	}
	t.o.Metrics.Waiting.Set(float64(t.outbox.len()))
}

func (t *Teller) drop(reason string, err error, values ...any) {
	t.o.Metrics.Dropped.WithLabelValues(reason).Inc()
	t.o.Log.Error(err, "event dropped", append(values, "reason", reason)...)
}

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// Run sends what waits until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	if t == nil || t.outbox == nil {
		return
	}
	for {
		content, err := t.outbox.first()
		switch {
		case err != nil:
			if !missing(err) {
				t.drop("storage", err)
			}
			t.finish()
		case content == nil:
			select {
			case <-ctx.Done():
				return
			case <-t.outbox.more:
			}
		case !t.deliver(ctx, content):
			return
		}
	}
}

// deliver sends one event until the sink has taken or refused it; false: ctx ended before.
func (t *Teller) deliver(ctx context.Context, content []byte) bool {
	for wait := t.retry; ; wait = min(2*wait, lastRetry) {
		answer := t.o.Sink.send(ctx, content)
		switch {
		case ctx.Err() != nil && !answer.taken:
			return false
		case answer.taken:
			t.o.Metrics.Sent.Inc()
			t.finish()
			return true
		case answer.refused:
			t.drop("refused", answer.err, "sink", t.o.Sink.String())
			t.finish()
			return true
		}
		t.o.Metrics.Failures.Inc()
		pause := max(jitter(wait), answer.after)
		t.o.Log.Info("event not taken", "sink", t.o.Sink.String(), "reason", fmt.Sprint(answer.err), "waiting", t.outbox.len(), "retryIn", pause.String())
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (t *Teller) finish() {
	t.outbox.done()
	t.o.Metrics.Waiting.Set(float64(t.outbox.len()))
}

// Package fetch moves the bytes: one transfer of one blob from its origin into the store, which any number of readers
// follow as it arrives (rules B1 to B5, B7, B8). It does not decide who may read what.
package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	"golang.org/x/time/rate"
)

// ErrRange is returned for a range that lies outside the blob; the Reader returned beside it tells the size.
var ErrRange = errors.New("range outside the blob")

// ErrClosed is returned by a Manager that was closed, also to those who wait for it.
var ErrClosed = errors.New("fetching was shut down")

// idleTimeout is how long an origin may send nothing before its connection counts as broken (B3).
const idleTimeout = 30 * time.Second

// resumePauses are the pauses before the attempts to resume, by how many in a row brought no byte. There are as many
// attempts (B3).
var resumePauses = []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// Options configure a Manager.
type Options struct {
	Store   *store.Store
	Origin  *upstream.Client
	Metrics *metrics.Metrics
	Log     logr.Logger
	// Confirm is asked whether repo may have a blob that comes, or came meanwhile, in another repository's name (B6); its error
	// is the caller's answer. May be nil: then the callers have made sure.
	Confirm func(ctx context.Context, repo imageref.Repository, dgst digest.Digest) error
	// OnOutcome is told how each request to the origin of repo ended (nil: it delivered): it feeds the breaker. May be nil.
	OnOutcome func(repo imageref.Repository, err error)
	// OnCommit is told when a blob has been committed and linked in a repository. May be nil.
	OnCommit func(repo imageref.Repository, dgst digest.Digest)
}

// New returns a manager.
func New(o Options) *Manager {
	life, end := context.WithCancel(context.Background())
	m := &Manager{
		store:     o.Store,
		origin:    o.Origin,
		metrics:   o.Metrics,
		log:       o.Log,
		confirm:   o.Confirm,
		onOutcome: o.OnOutcome,
		onCommit:  o.OnCommit,
		idle:      idleTimeout,
		pauses:    resumePauses,
		running:   map[digest.Digest]*transfer{},
		end:       end,
		onEnd:     func(f func()) func() bool { return context.AfterFunc(life, f) },
		noRoom:    rate.Sometimes{Interval: 10 * time.Second},
	}
	m.newSpool = func(dgst digest.Digest, size int64) (spool, error) {
		sp, err := o.Store.NewSpool(dgst, size)
		if err != nil {
			return nil, err
		}
		return sp, nil
	}
	return m
}

// How tells how an answer came about.
type How int

// The ways.
const (
	Started     How = iota // this request started the fetch
	Joined                 // it joined a running one
	PassThrough            // it streams from the origin, unstored (B7, B8)
)

// Package kube is what larder controller and larder registry have in common: how they talk to the API server. It serves nothing and
// knows no rules.
package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/usage"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// patience is how long controllers wait for the API server before they give up: longer than any outage.
	patience = 10 * 365 * 24 * time.Hour
	// stop is how long reconciles that run may go on at the end.
	stop = 10 * time.Second
	// stopCache is how long what watches the API server may go on.
	stopCache = 500 * time.Millisecond
)

// Options configure a manager.
type Options struct {
	Config *rest.Config // as Configure returns it
	Log    logr.Logger

	// Lease is the name, in a namespace, of what only a leader holds; empty: there is no leader.
	Lease, Namespace string

	Objects map[client.Object]cache.ByObject // of which kinds the cache keeps some only; none: what is watched is kept whole
}

// NewManager returns a manager that serves neither metrics nor probes, and asks the API server nothing before it is started. It waits for
// the API server for as long as it takes. Its cache keeps objects slim (usage.Slim), and holds those kinds only that are indexed or
// watched: reading another kind from it is an error, not an informer. It ends with ctx.
func NewManager(ctx context.Context, o Options) (manager.Manager, error) {
	m, err := ctrl.NewManager(o.Config, manager.Options{
		Scheme:         scheme,
		MapperProvider: mapper,
		Logger:         quiet(ctx, o.Log),
		NewCache:       newCache,
		Cache:          cache.Options{DefaultTransform: usage.Slim, ReaderFailOnMissingInformer: true, ByObject: o.Objects},
		BaseContext:    func() context.Context { return ctx },
		Metrics:        server.Options{BindAddress: "0"},
		Controller:     config.Controller{CacheSyncTimeout: patience, SkipNameValidation: new(true)},

		GracefulShutdownTimeout:       new(stop),
		LeaderElection:                o.Lease != "",
		LeaderElectionID:              o.Lease,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to talk to the API server: %w", err)
	}
	return m, nil
}

// NewLive returns a reader that has no cache: it asks the API server for each object.
func NewLive(c *rest.Config) (client.Reader, error) { return NewClient(c) }

// NewClient is NewLive for what writes too.
func NewClient(c *rest.Config) (client.Client, error) {
	m, _ := mapper(nil, nil)
	live, err := client.New(c, client.Options{Scheme: scheme, Mapper: m})
	if err != nil {
		return nil, fmt.Errorf("preparing to talk to the API server: %w", err)
	}
	return live, nil
}

// SetLogger has Kubernetes' own libraries log to log in a process that works until ctx ends. It is called once, before they do anything.
func SetLogger(ctx context.Context, log logr.Logger) {
	ctrl.SetLogger(quiet(ctx, log))
	klog.SetLogger(quiet(ctx, log))
}

// endingCache ends with its context, where the API server does not answer too. A manager waits beyond the end of its own context for a
// cache that has not synced, and client-go's watches sleep beyond it, for up to a minute, before they try again.
type endingCache struct{ cache.Cache }

func (c endingCache) Start(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Cache.Start(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopCache):
		return nil
	}
}

func newCache(c *rest.Config, o cache.Options) (cache.Cache, error) {
	inner, err := cache.New(c, o)
	return endingCache{inner}, err
}

func (c endingCache) WaitForCacheSync(ctx context.Context) bool {
	return c.Cache.WaitForCacheSync(ctx) || errors.Is(ctx.Err(), context.Canceled)
}

// Package owner makes this process the owner of a data folder (rule P4) and opens the cache on it: the lock, the store, the
// client of origins and the cache. It serves nothing.
package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/version"
	"github.com/opencontainers/go-digest"
)

// Options configure an Owner.
type Options struct {
	serve.Cache                                            // what flags and configuration file say
	Policies    *policy.Current                            // what is wanted of tags; it may change while the owner is open
	Self        func() []string                            // host:port pairs on which this process listens; nil: none
	Credentials upstream.Credentials                       // besides those of files; nil: none
	OnTag       func(repo imageref.Repository, tag string) // see cache.Options; nil: nobody is told
	Metrics     *metrics.Metrics
	Log         logr.Logger

	// Owns says for which repositories this process does what nobody asks for, see cache.Options; nil: for all.
	Owns func(repo imageref.Repository) bool
	// Keep says that a tag must not expire although no object names it; nil: of none.
	Keep func(repo imageref.Repository, tag string) bool
	// KeepDigest says the same of a manifest that must not be swept; nil: of none.
	KeepDigest func(repo imageref.Repository, dgst digest.Digest) bool

	OnEvict   func(ref imageref.Reference, image cache.Image) // see cache.Options; nil: nobody is told
	OnCrowded func(used int64, limit cache.Limit)             // the same
	// Grants say who may pull what, but for Metrics and Log, which are those above; nil: everybody may pull all.
	Grants *grant.Options
}

// Owner holds a data folder and the cache on it.
type Owner struct {
	Cache   *cache.Cache
	Book    *grant.Book
	Keeper  *grant.Keeper  // nil: everybody may pull all
	release []func() error // in the order of opening
}

// Open takes the folder and opens the cache. Where another process owns the folder, the error is store.ErrOwned.
// Close gives it back.
func Open(ctx context.Context, o Options) (*Owner, error) {
	owner := &Owner{}
	if err := owner.open(ctx, o); err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	return owner, nil
}

func (w *Owner) open(ctx context.Context, o Options) error {
	if err := w.lock(o); err != nil {
		return err
	}
	kept, err := store.Open(ctx, store.Options{
		Data: o.Data, Driver: o.Storage.Driver, Parameters: o.Storage.Parameters, MaxSpool: o.Storage.MaxSpool,
		Exclusive: o.Storage.Exclusive, Log: o.Log.WithName("store"),
		OnDamage: func(digest.Digest) { o.Metrics.DamagedBlobs.Inc() },
	})
	if err != nil {
		return err
	}
	origin, err := upstream.New(upstream.Options{
		Registries: o.Registries, Allowed: o.Allowed, Credentials: o.Credentials, Sources: o.sources, Proven: w.proven, UserAgent: version.UserAgent(),
		Self: o.Self, Metrics: o.Metrics, Log: o.Log.WithName("origin"),
	})
	if err != nil {
		return fmt.Errorf("preparing to reach the registries: %w", err)
	}
	w.release = append(w.release, func() error { origin.Close(); return nil })
	w.openGrants(kept, origin, o)
	w.Cache = cache.New(cache.Options{
		Store: kept, Origin: origin, Policies: policies{o.Policies, o.Keep}, CheckTimeout: o.CheckTimeout, ExpiryDelay: o.ExpiryDelay,
		SweepGrace: o.Sweep.Grace, Keeps: o.keeps, Owns: o.Owns, OnTag: o.OnTag, Metrics: o.Metrics, Log: o.Log.WithName("cache"),
		Spare: o.spare, OnEvict: o.OnEvict, OnCrowded: o.OnCrowded,
	})
	w.release = append(w.release, func() error { w.Cache.Close(); return nil })
	return nil
}

// Close ends what the cache runs and gives the folder back.
func (w *Owner) Close() error {
	var errs []error
	for _, release := range slices.Backward(w.release) {
		errs = append(errs, release())
	}
	w.release = nil
	return errors.Join(errs...)
}

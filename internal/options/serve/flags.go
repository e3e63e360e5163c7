// Package serve turns the flags and the configuration file of `larder serve`, and of the commands that work on the same
// cache beside it, into validated options. It opens no network connection and starts nothing.
package serve

import (
	"errors"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/spf13/pflag"
)

// Options are what `larder serve` runs with.
type Options struct {
	Cache
	Listen        string // host:port of the proxy face
	MetricsListen string // host:port of metrics and probes
}

// Cache are the options of every command that works on a cache.
type Cache struct {
	Data              string // local folder
	Manifests         string // folder of Repositories and CachedImages
	ManifestsRequired bool   // the folder was asked for: it must exist
	LogLevel          string // debug, info, warn or error
	LogFormat         string // text or json
	Registries        []upstream.Registry
	Allowed           []upstream.Allowed // what may be an origin; none: everything
	Storage           Storage
	CheckTimeout      time.Duration   // how long a request waits for a check
	Defaults          policy.Defaults // for tags of which no Repository says otherwise
	ExpiryDelay       time.Duration   // how long a tag that no object names is kept after its last pull; 0: for ever
	Sweep             Sweep
	Limit             cache.Limit   // how large the store may become
	Events            Events        // where changes are told
	ScrubPeriod       time.Duration // within which all stored blobs are hashed again; 0: never
}

// Storage says where the store is.
type Storage struct {
	Driver     string         // one of distribution's; empty: filesystem, in the data folder
	Parameters map[string]any // the driver's own keys
	Redirect   bool           // clients get stored blobs from object storage by themselves
	Exclusive  bool           // no other process writes to this object storage
	MaxSpool   int64          // bytes of the transfers that are under way, with object storage
}

const (
	flagData      = "data"
	flagConfig    = "config"
	flagManifests = "manifests"
)

// CacheFlags are the flags of every command that works on a cache and takes its policies from a folder. Bind them before the command
// line is parsed.
type CacheFlags struct {
	StoreFlags
	manifests string
}

// Bind adds the flags to a set.
func (f *CacheFlags) Bind(flags *pflag.FlagSet) {
	f.StoreFlags.Bind(flags)
	flags.StringVar(&f.manifests, flagManifests, "./repositories",
		"folder of Repository and CachedImage manifests; the default one may be missing")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *CacheFlags) Options() (Cache, error) {
	required := f.flags.Changed(flagManifests)
	errs := []error{daemon.CheckPath(flagManifests, f.manifests, "folder")}
	if required && f.manifests != "" {
		errs = append(errs, daemon.CheckFolder(flagManifests, f.manifests))
	}
	o, err := f.StoreFlags.Options()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Cache{}, err
	}
	o.Manifests, o.ManifestsRequired = f.manifests, required
	return o, nil
}

// Flags are the flags of `larder serve`. Bind them before the command line is parsed.
type Flags struct {
	cache  CacheFlags
	listen daemon.Listen
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.cache.Bind(flags)
	f.listen.Bind(flags, "127.0.0.1")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	cache, err := f.cache.Options()
	if err := errors.Join(f.listen.Check(), err); err != nil {
		return Options{}, err
	}
	return Options{Cache: cache, Listen: f.listen.Listen, MetricsListen: f.listen.MetricsListen}, nil
}

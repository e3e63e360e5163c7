// Package serve turns the flags and the configuration file of `larder serve`, and of the commands that work on the same
// cache beside it, into validated options. It opens no network connection and starts nothing.
package serve

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/spf13/pflag"
)

// Options are what `larder serve` runs with.
type Options struct {
	Cache
	Listen            string // host:port of the proxy face
	MetricsListen     string // host:port of metrics and probes
	Manifests         string // folder of Repositories and CachedImages
	ManifestsRequired bool   // the folder was asked for: it must exist
}

// Cache are the options of every command that works on a cache.
type Cache struct {
	Data         string // local folder
	LogLevel     string // debug, info, warn or error
	LogFormat    string // text or json
	Registries   []upstream.Registry
	Storage      Storage
	CheckTimeout time.Duration   // how long a request waits for a check
	Defaults     policy.Defaults // for tags of which no Repository says otherwise
	ExpiryDelay  time.Duration   // how long a tag that no object names is kept after its last pull; 0: for ever
}

// Storage says where the store is.
type Storage struct {
	Driver     string         // one of distribution's; empty: filesystem, in the data folder
	Parameters map[string]any // the driver's own keys
}

const (
	flagListen        = "listen"
	flagMetricsListen = "metrics-listen"
	flagData          = "data"
	flagConfig        = "config"
	flagManifests     = "manifests"
	flagLogLevel      = "log-level"
	flagLogFormat     = "log-format"
)

// CacheFlags are the flags of every command that works on a cache. Bind them before the command line is parsed.
type CacheFlags struct {
	flags     *pflag.FlagSet
	data      string
	config    string
	logLevel  string
	logFormat string
}

// Bind adds the flags to a set.
func (f *CacheFlags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.data, flagData, "./larder-data", "folder of the cache")
	flags.StringVar(&f.config, flagConfig, "larder.yaml", "configuration file; the default one may be missing")
	flags.StringVar(&f.logLevel, flagLogLevel, "info", "what to log from: debug, info, warn or error")
	flags.StringVar(&f.logFormat, flagLogFormat, "text", "how to log: text or json")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *CacheFlags) Options() (Cache, error) {
	errs := []error{
		checkFolder(flagData, f.data),
		checkChoice(flagLogLevel, f.logLevel, "debug", "info", "warn", "error"),
		checkChoice(flagLogFormat, f.logFormat, "text", "json"),
	}
	o, err := readConfig(f.config, f.flags.Changed(flagConfig))
	if err := errors.Join(append(errs, err)...); err != nil {
		return Cache{}, err
	}
	o.Data, o.LogLevel, o.LogFormat = f.data, f.logLevel, f.logFormat
	return o, nil
}

// Flags are the flags of `larder serve`. Bind them before the command line is parsed.
type Flags struct {
	cache         CacheFlags
	listen        string
	metricsListen string
	manifests     string
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.cache.Bind(flags)
	flags.StringVar(&f.listen, flagListen, "127.0.0.1:7439", "address that container runtimes pull from")
	flags.StringVar(&f.metricsListen, flagMetricsListen, "127.0.0.1:7440", "address of metrics and probes")
	flags.StringVar(&f.manifests, flagManifests, "./repositories",
		"folder of Repository and CachedImage manifests, followed while running; the default one may be missing")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	cache, err := f.cache.Options()
	err = errors.Join(
		checkAddress(flagListen, f.listen),
		checkAddress(flagMetricsListen, f.metricsListen),
		checkFolder(flagManifests, f.manifests),
		err,
	)
	if err != nil {
		return Options{}, err
	}
	return Options{
		Cache:             cache,
		Listen:            f.listen,
		MetricsListen:     f.metricsListen,
		Manifests:         f.manifests,
		ManifestsRequired: f.cache.flags.Changed(flagManifests),
	}, nil
}

func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(cmp.Or(port, "none"), 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--%s: %q: write host:port, such as 127.0.0.1:7439 or :7439", flag, address)
	}
	return nil
}

func checkFolder(flag, folder string) error {
	if folder == "" {
		return fmt.Errorf("--%s: empty: write the path of a folder", flag)
	}
	return nil
}

func checkChoice(flag, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		return fmt.Errorf("--%s: %q: write one of %q", flag, value, choices)
	}
	return nil
}

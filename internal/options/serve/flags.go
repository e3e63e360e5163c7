// Package serve turns the flags and the configuration file of `larder serve`, and of the commands that work on the same
// cache beside it, into validated options. It opens no network connection and starts nothing.
package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Storage           Storage
	CheckTimeout      time.Duration   // how long a request waits for a check
	Defaults          policy.Defaults // for tags of which no Repository says otherwise
	ExpiryDelay       time.Duration   // how long a tag that no object names is kept after its last pull; 0: for ever
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
	manifests string
	logLevel  string
	logFormat string
}

// Bind adds the flags to a set.
func (f *CacheFlags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.data, flagData, "./larder-data", "folder of the cache")
	flags.StringVar(&f.config, flagConfig, "larder.yaml", "configuration file; the default one may be missing")
	flags.StringVar(&f.manifests, flagManifests, "./repositories",
		"folder of Repository and CachedImage manifests; the default one may be missing")
	flags.StringVar(&f.logLevel, flagLogLevel, "info", "what to log from: debug, info, warn or error")
	flags.StringVar(&f.logFormat, flagLogFormat, "text", "how to log: text or json")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *CacheFlags) Options() (Cache, error) {
	required := f.flags.Changed(flagManifests)
	errs := []error{
		checkPath(flagData, f.data, "folder"),
		checkPath(flagManifests, f.manifests, "folder"),
		checkChoice(flagLogLevel, f.logLevel, "debug", "info", "warn", "error"),
		checkChoice(flagLogFormat, f.logFormat, "text", "json"),
	}
	if required && f.manifests != "" {
		errs = append(errs, checkFolder(flagManifests, f.manifests))
	}
	o, err := f.readConfig()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Cache{}, err
	}
	o.Data, o.Manifests, o.ManifestsRequired = f.data, f.manifests, required
	o.LogLevel, o.LogFormat = f.logLevel, f.logFormat
	return o, nil
}

func (f *CacheFlags) readConfig() (Cache, error) {
	if err := checkPath(flagConfig, f.config, "file"); err != nil {
		return Cache{}, err
	}
	return readConfig(f.config, f.flags.Changed(flagConfig))
}

// Flags are the flags of `larder serve`. Bind them before the command line is parsed.
type Flags struct {
	cache         CacheFlags
	listen        string
	metricsListen string
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.cache.Bind(flags)
	flags.StringVar(&f.listen, flagListen, "127.0.0.1:7439", "address that container runtimes pull from")
	flags.StringVar(&f.metricsListen, flagMetricsListen, "127.0.0.1:7440", "address of metrics and probes")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	cache, err := f.cache.Options()
	err = errors.Join(
		checkAddress(flagListen, f.listen),
		checkAddress(flagMetricsListen, f.metricsListen),
		checkApart(f.listen, f.metricsListen),
		err,
	)
	if err != nil {
		return Options{}, err
	}
	return Options{Cache: cache, Listen: f.listen, MetricsListen: f.metricsListen}, nil
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

// checkApart refuses one address for two listeners, but not two free ports.
func checkApart(listen, metricsListen string) error {
	if listen == metricsListen && !strings.HasSuffix(listen, ":0") {
		return fmt.Errorf("--%s and --%s: both are %q: write two addresses", flagListen, flagMetricsListen, listen)
	}
	return nil
}

func checkPath(flag, path, kind string) error {
	if path == "" {
		return fmt.Errorf("--%s: empty: write the path of a %s", flag, kind)
	}
	return nil
}

func checkFolder(flag, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--%s: %q: there is no such folder", flag, path)
	case err == nil && !info.IsDir():
		return fmt.Errorf("--%s: %q: not a folder", flag, path)
	case err != nil:
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return nil
}

func checkChoice(flag, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		last := len(choices) - 1
		return fmt.Errorf("--%s: %q: write %s or %s", flag, value, strings.Join(choices[:last], ", "), choices[last])
	}
	return nil
}

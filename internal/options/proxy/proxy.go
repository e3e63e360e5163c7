// Package proxy turns the flags and the configuration file of larder-proxy into validated options. It opens no network connection.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/internal/options/configfile"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/token"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/spf13/pflag"
)

const (
	flagRegistry = "registry"
	flagConfig   = "config"
	flagDrain    = "drain"
	flagState    = "state"
	flagFallback = "fallback"
	flagMirror   = "mirror-mode"
)

// Fallback says what a proxy takes from an origin while no replica of the registry answers.
type Fallback string

// The values of Fallback.
const (
	FallbackAlways Fallback = "always" // everything but what the registry has told otherwise
	FallbackTold   Fallback = "told"   // the same, but no tag before it has told anything
	FallbackNever  Fallback = "never"  // nothing: pulls fail
)

// Options are validated: a process can start with them.
type Options struct {
	Listen        string      // host:port, on loopback
	MetricsListen string      // host:port
	Registry      []string    // each a host:port
	Token         *token.File // shown to the registry; nil: none is
	Trust         *hop.Trust  // by which the registry is known; nil: it is asked in plain HTTP
	Node          string      // empty: the registry is not told
	MirrorMode    bool        // never go to an origin
	Fallback      Fallback    // FallbackNever in mirror mode
	Registries    []upstream.Registry
	State         string        // folder for what must outlive the process; empty: nothing does
	Drain         time.Duration // how long running pulls may go on after the end was asked for
	LogLevel      string        // debug, info, warn or error
	LogFormat     string        // text or json

	Allowed []upstream.Allowed // what may be an origin; none: everything
}

// Flags are the flags of larder-proxy. Bind them before the command line is parsed.
type Flags struct {
	flags  *pflag.FlagSet
	listen daemon.Listen
	log    daemon.Log
	token  daemon.Token
	trust  daemon.Trust
	config string
	o      Options
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	f.listen.Bind(flags, "127.0.0.1")
	f.log.Bind(flags)
	flags.StringSliceVar(&f.o.Registry, flagRegistry, nil,
		"host:port of the registry, such as a headless Service's, or several; all their addresses are replicas")
	f.token.Bind(flags, "file whose first line the registry wants to see; read again when it changes")
	f.trust.Bind(flags)
	flags.StringVar(&f.o.Node, "node", os.Getenv("NODE_NAME"), "name of this node, for the registry; default: $NODE_NAME")
	flags.StringVar((*string)(&f.o.Fallback), flagFallback, string(FallbackAlways),
		"what is taken from an origin while no registry answers: always (all but what the registry told of pinned and immutable tags and other origins), "+
			"told (no tag either before it told), or never")
	flags.BoolVar(&f.o.MirrorMode, flagMirror, false, "answer 503 instead of going to an origin: the runtime does so itself")
	flags.StringVar(&f.config, flagConfig, "larder-proxy.yaml", "configuration file; the default one may be missing")
	flags.StringVar(&f.o.State, flagState, "",
		"folder for what the registry told of pinned and immutable tags and other origins, for a start while no registry answers; empty: none")
	flags.DurationVar(&f.o.Drain, flagDrain, 10*time.Minute, "how long running pulls may go on after the end was asked for")
}

// Options reads the configuration file and returns validated options, or all that is wrong at once.
func (f *Flags) Options() (Options, error) {
	o := f.o
	o.Listen, o.MetricsListen, o.LogLevel, o.LogFormat = f.listen.Listen, f.listen.MetricsListen, f.log.Level, f.log.Format
	errs := []error{f.listen.Check(), f.log.Check(), checkLoopback(o.Listen), checkRegistry(o.Registry), checkDrain(o.Drain), f.checkFallback()}
	if o.MirrorMode {
		o.Fallback = FallbackNever
	}
	var tokenErr, trustErr, originsErr error
	o.Token, tokenErr = f.token.Open()
	o.Trust, trustErr = f.trust.Open()
	o.Registries, o.Allowed, originsErr = f.origins()
	if err := errors.Join(append(errs, tokenErr, trustErr, originsErr)...); err != nil {
		return Options{}, err
	}
	return o, nil
}

// origins reads the configuration file.
func (f *Flags) origins() ([]upstream.Registry, []upstream.Allowed, error) {
	if err := daemon.CheckPath(flagConfig, f.config, "file"); err != nil {
		return nil, nil, err
	}
	text, err := configfile.Read(f.config, f.flags.Changed(flagConfig))
	if err != nil {
		return nil, nil, err
	}
	var c struct {
		Registries     []configfile.Registry `json:"registries"`
		AllowedOrigins []string              `json:"allowedOrigins"`
	}
	r := configfile.New(f.config)
	r.Decode(text, &c)
	if err := r.Err(); err != nil {
		return nil, nil, err
	}
	registries, allowed := r.Registries(c.Registries), r.Allowed(c.AllowedOrigins)
	return registries, allowed, r.Err()
}

// checkLoopback keeps the proxy, which asks nobody who they are, to its own node.
func checkLoopback(address string) error {
	host, _, malformed := net.SplitHostPort(address) // which the check of all addresses says
	if addr, err := netip.ParseAddr(host); malformed == nil && host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return fmt.Errorf("--listen: %q: write an address of this machine alone, such as 127.0.0.1:7439", address)
	}
	return nil
}

func checkRegistry(targets []string) error {
	if len(targets) == 0 {
		return fmt.Errorf("--%s: missing: write the registry's host:port, such as larder-registry.larder.svc:7439", flagRegistry)
	}
	var errs []error
	for _, target := range targets {
		if host, port, err := net.SplitHostPort(target); err != nil || host == "" || port == "" || strings.Contains(target, "/") {
			errs = append(errs, fmt.Errorf("--%s: %q: write host:port, such as larder-registry.larder.svc:7439", flagRegistry, target))
		}
	}
	return errors.Join(errs...)
}

func (f *Flags) checkFallback() error {
	if f.o.MirrorMode && f.flags.Changed(flagFallback) {
		return fmt.Errorf("--%s: with --%s nothing is taken from an origin: leave it out", flagFallback, flagMirror)
	}
	switch f.o.Fallback {
	case FallbackAlways, FallbackTold, FallbackNever:
		return nil
	}
	return fmt.Errorf("--%s: %q: write %s, %s or %s", flagFallback, f.o.Fallback, FallbackAlways, FallbackTold, FallbackNever)
}

func checkDrain(drain time.Duration) error {
	if drain < 0 {
		return fmt.Errorf("--%s: %s: write a duration from 0s on, such as 10m", flagDrain, drain)
	}
	return nil
}

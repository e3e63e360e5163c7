// Package cleanup turns the flags of larder cleanup into validated options. It opens no network connection.
package cleanup

import (
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/spf13/pflag"
)

const flagFinalizers = "finalizers"

// Options are what larder cleanup runs with.
type Options struct {
	Cluster   cluster.Options
	LogLevel  string // debug, info, warn or error
	LogFormat string // text or json
}

// Flags are the flags of larder cleanup. Bind them before the command line is parsed.
type Flags struct {
	cluster    cluster.Flags
	log        daemon.Log
	finalizers bool
}

// Bind adds the flags to a set.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	f.cluster.Bind(flags)
	f.log.Bind(flags)
	flags.BoolVar(&f.finalizers, flagFinalizers, false, "remove Larder's finalizer from all CachedImages; only where no registry runs any more")
}

// Options returns validated options, or all that is wrong at once. What is removed has to be named.
func (f *Flags) Options() (Options, error) {
	in, err := f.cluster.Options()
	var nothing error
	if !f.finalizers {
		nothing = fmt.Errorf("there is nothing to clean up: write --%s", flagFinalizers)
	}
	if err := errors.Join(err, f.log.Check(), nothing); err != nil {
		return Options{}, err
	}
	return Options{Cluster: in, LogLevel: f.log.Level, LogFormat: f.log.Format}, nil
}

package serve

import (
	"errors"

	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/spf13/pflag"
)

// StoreFlags are the flags of every command that works on a cache, wherever its policies come from. Bind them before the command line
// is parsed.
type StoreFlags struct {
	flags  *pflag.FlagSet
	data   string
	config string
	log    daemon.Log
}

// Bind adds the flags to a set.
func (f *StoreFlags) Bind(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.data, flagData, "./larder-data", "folder of the cache")
	flags.StringVar(&f.config, flagConfig, "larder.yaml", "configuration file; the default one may be missing")
	f.log.Bind(flags)
}

// Options reads the configuration file and returns validated options without a folder of manifests, or all that is wrong at once.
func (f *StoreFlags) Options() (Cache, error) {
	errs := []error{daemon.CheckPath(flagData, f.data, "folder"), f.log.Check()}
	o, err := f.readConfig()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Cache{}, err
	}
	o.Data, o.LogLevel, o.LogFormat = f.data, f.log.Level, f.log.Format
	return o, nil
}

func (f *StoreFlags) readConfig() (Cache, error) {
	if err := daemon.CheckPath(flagConfig, f.config, "file"); err != nil {
		return Cache{}, err
	}
	return readConfig(f.config, f.flags.Changed(flagConfig))
}

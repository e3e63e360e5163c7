package daemon

import (
	"errors"

	"github.com/spf13/pflag"
)

// Log are the flags of every process that logs.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
}

// Bind adds the flags to a set.
func (f *Log) Bind(set *pflag.FlagSet) {
	set.StringVar(&f.Level, flagLogLevel, "info", "what to log from: debug, info, warn or error")
	set.StringVar(&f.Format, flagLogFormat, "text", "how to log: text or json")
}

// Check says what is wrong with the flags.
func (f *Log) Check() error {
	return errors.Join(
		checkChoice(flagLogLevel, f.Level, "debug", "info", "warn", "error"),
		checkChoice(flagLogFormat, f.Format, "text", "json"),
	)
}

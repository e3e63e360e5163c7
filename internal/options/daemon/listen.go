// Package daemon has the flags of every process that runs on, how it listens and what it logs, and says what is wrong with them.
package daemon

import (
	"errors"

	"github.com/spf13/pflag"
)

const (
	flagListen        = "listen"
	flagMetricsListen = "metrics-listen"
	flagLogLevel      = "log-level"
	flagLogFormat     = "log-format"
)

// Listen are the flags of every process that answers container runtimes.
type Listen struct {
	Listen        string // host:port
	MetricsListen string // host:port
}

// Bind adds the flags to a set; by default the process listens on a host alone, where empty on every one.
func (f *Listen) Bind(set *pflag.FlagSet, host string) {
	set.StringVar(&f.Listen, flagListen, host+":7439", "address that container runtimes pull from")
	BindMetrics(set, &f.MetricsListen, host)
}

// BindMetrics adds the flag for the address of metrics and probes to a set.
func BindMetrics(set *pflag.FlagSet, address *string, host string) {
	set.StringVar(address, flagMetricsListen, host+":7440", "address of metrics and probes")
}

// Check says what is wrong with the flags.
func (f *Listen) Check() error {
	return errors.Join(
		CheckAddress(flagListen, f.Listen),
		CheckMetrics(f.MetricsListen),
		checkApart(f.Listen, f.MetricsListen),
	)
}

// CheckMetrics says what is wrong with the address of metrics and probes.
func CheckMetrics(address string) error { return CheckAddress(flagMetricsListen, address) }

package serve

import (
	"errors"

	"github.com/spf13/pflag"
)

// ListenFlags are the flags of every process that answers container runtimes.
type ListenFlags struct {
	Listen        string // host:port
	MetricsListen string // host:port
}

// Bind adds the flags to a set; by default the process listens on a host alone, where empty on every one.
func (f *ListenFlags) Bind(flags *pflag.FlagSet, host string) {
	flags.StringVar(&f.Listen, flagListen, host+":7439", "address that container runtimes pull from")
	BindMetrics(flags, &f.MetricsListen, host)
}

// BindMetrics adds the flag for the address of metrics and probes to a set.
func BindMetrics(flags *pflag.FlagSet, address *string, host string) {
	flags.StringVar(address, flagMetricsListen, host+":7440", "address of metrics and probes")
}

// Check says what is wrong with the flags.
func (f *ListenFlags) Check() error {
	return errors.Join(
		CheckAddress(flagListen, f.Listen),
		CheckMetrics(f.MetricsListen),
		checkApart(f.Listen, f.MetricsListen),
	)
}

// CheckMetrics says what is wrong with the address of metrics and probes.
func CheckMetrics(address string) error { return CheckAddress(flagMetricsListen, address) }

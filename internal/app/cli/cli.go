// Package cli is what the command lines of Larder's binaries have in common: how they run and end, which mistakes are a person's, where
// the log of what runs on goes, and how sizes read. It knows no command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/version"
	"github.com/spf13/cobra"
)

// Main runs the process's command line and ends the process: with 2 for a usage error, mistakes among them, and with 1 for any other.
func Main(root *cobra.Command, mistakes ...error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for the end; the second one is the system's and ends the process at once.
	context.AfterFunc(ctx, stop)
	root.Version = version.Version()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(wrongLine)
	err := root.ExecuteContext(ctx)
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", root.Name(), err)
	if isUsage(err) || slices.ContainsFunc(mistakes, func(mistake error) bool { return errors.Is(err, mistake) }) {
		os.Exit(2)
	}
	os.Exit(1)
}

// usageError is a mistake in what a person wrote: on the command line or in the configuration file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes an error that of a person, who wrote something wrong.
func Usage(err error) error { return usageError{err} }

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

func wrongLine(cmd *cobra.Command, err error) error {
	return Usage(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
}

// Args makes the errors of a check of arguments usage errors.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return wrongLine(cmd, err)
		}
		return nil
	}
}

// OpenLog returns the log of a process that runs on: its lines are written many at a time. What waits is written by stop.
func OpenLog(cmd *cobra.Command, level, format string) (log logr.Logger, stop func(), err error) {
	out, stop := logging.Buffered(cmd.ErrOrStderr())
	log, err = logging.New(level, format, out)
	if err != nil {
		stop()
		return logr.Logger{}, nil, err
	}
	return log, stop, nil
}

// Command larder-proxy is a node's relay: it hands the pulls of a node to the registry replica that owns the repository, and to the origin
// when none answers. It has no access to the API server, and no code for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/larder-dev/larder/internal/version"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for the end; the second one is the system's and ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "larder-proxy: %v\n", err)
	}
	os.Exit(exitCode(err))
}

// run executes one command line until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newRelay()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// usageError is a mistake in what a person wrote: on the command line or in the configuration file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	}
	return nil
}

// exitCode is 2 for a usage error and 1 for every other one.
func exitCode(err error) int {
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return 2
	default:
		return 1
	}
}

func prepare(root *cobra.Command) {
	root.Version = version.Version()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
}

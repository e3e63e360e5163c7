// Command larder is a pull-through caching registry: larder serve runs it by itself, larder registry and larder controller in a cluster,
// larder pull fills it, larder sweep and larder rm empty it, larder history, pin, unpin and rollback say and change what a tag is, larder grants
// says who may pull what.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/version"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for the end; the second one is the system's and ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "larder: %v\n", err)
	}
	os.Exit(exitCode(err))
}

// run executes one command line until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "larder",
		Short:         "A pull-through caching registry",
		Long:          "Larder keeps the container images that you run, and keeps them fresh.",
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       version.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddCommand(newServe(), newPull(), newSweep(), newRemove(), newGrants(), newExport(), newImport(), newCopy(),
		newHistory(), newPin(), newUnpin(), newRollback(),
		newRegistry(), newController(), newCleanup(), newRewrite(), newVersion())
	return root
}

// usageError is a mistake in what a person wrote: on the command line or in the configuration file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage makes the errors of a check of arguments usage errors.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}

// exitCode is 2 for a usage error, settings of a storage driver that it refuses among them, and 1 for every other one.
func exitCode(err error) int {
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong), errors.Is(err, store.ErrSettings):
		return 2
	default:
		return 1
	}
}

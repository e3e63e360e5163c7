package main

import (
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/app/pull"
	app "github.com/larder-dev/larder/internal/app/sweep"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
)

func newSweep() *cobra.Command {
	var flags options.CacheFlags
	var grace time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Free the room of what no image needs any more",
		Long: "Free the room of what no tag, object or kept revision needs any more. Larder does so by itself now and then. Where larder serve owns the " +
			"data folder, it does the work, while pulls go on.",
		Example: "  larder sweep --dry-run\n  larder sweep --grace 0s",
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, log, err := readCache(&flags, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			switch {
			case !cmd.Flags().Changed("grace"):
				grace = -1
			case grace < 0:
				return cli.Usage(fmt.Errorf("--grace: %v: write a duration such as 0s or 1h", grace))
			}
			return app.Run(cmd.Context(), app.Options{
				Cache: o, Grace: grace, DryRun: dryRun, Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr(),
			}, log)
		},
	}
	flags.Bind(cmd.Flags())
	cmd.Flags().DurationVar(&grace, "grace", 0, "how long something must not have been needed; default: the configuration's sweep.grace")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be freed, and free nothing")
	return cmd
}

func newRemove() *cobra.Command {
	var flags options.CacheFlags
	cmd := &cobra.Command{
		Use:     "rm IMAGE...",
		Short:   "Remove images from the cache",
		Long:    "Remove images from the cache: the next pull fetches them anew. Their room is freed by the next sweep.",
		Example: "  larder rm postgres:14 ghcr.io/org/app:v1",
		Args:    cli.Args(anImage),
		RunE: func(cmd *cobra.Command, names []string) error {
			images, err := pull.ParseImages(names)
			if err != nil {
				return cli.Usage(err)
			}
			o, log, err := readCache(&flags, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.Remove(cmd.Context(), app.RemoveOptions{Cache: o, Images: images, Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr()}, log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

// readCache reads the options of a command that works on a cache, and opens its log.
func readCache(flags interface{ Options() (options.Cache, error) }, stderr io.Writer) (options.Cache, logr.Logger, error) {
	o, err := flags.Options()
	if err != nil {
		return o, logr.Discard(), cli.Usage(err)
	}
	log, err := logging.New(o.LogLevel, o.LogFormat, stderr)
	return o, log, err
}

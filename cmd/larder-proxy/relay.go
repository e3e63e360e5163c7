package main

import (
	"fmt"

	"github.com/go-logr/logr"
	app "github.com/larder-dev/larder/internal/app/proxy"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/proxy"
	"github.com/spf13/cobra"
)

func newRelay() *cobra.Command {
	var flags options.Flags
	root := &cobra.Command{
		Use:   "larder-proxy",
		Short: "On a node: relay its pulls to Larder's registry",
		Long: "On a node: relay its pulls to the replica of Larder's registry that owns the repository, to the next where one fails, " +
			"and to the origin itself where none answers.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.Options()
			if err != nil {
				return &usageError{err}
			}
			log, stop, err := openLog(cmd, o.LogLevel, o.LogFormat)
			if err != nil {
				return err
			}
			defer stop()
			return app.Run(cmd.Context(), o, cmd.OutOrStdout(), log)
		},
	}
	prepare(root)
	flags.Bind(root.Flags())
	root.AddCommand(newHosts())
	return root
}

// openLog returns the log of a process that runs on: its lines are written many at a time. What waits is written by stop.
func openLog(cmd *cobra.Command, level, format string) (log logr.Logger, stop func(), err error) {
	out, stop := logging.Buffered(cmd.ErrOrStderr())
	log, err = logging.New(level, format, out)
	if err != nil {
		stop()
		return logr.Logger{}, nil, fmt.Errorf("starting the log: %w", err)
	}
	return log, stop, nil
}

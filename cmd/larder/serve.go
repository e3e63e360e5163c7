package main

import (
	"fmt"

	app "github.com/larder-dev/larder/internal/app/serve"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var flags options.Flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve images from the cache, and from their origins what it does not have",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.Options()
			if err != nil {
				return &usageError{err}
			}
			log, err := logging.New(o.LogLevel, o.LogFormat, cmd.ErrOrStderr())
			if err != nil {
				return fmt.Errorf("starting the log: %w", err)
			}
			return app.Run(cmd.Context(), o, cmd.OutOrStdout(), log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

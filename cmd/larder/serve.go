package main

import (
	"os"
	"runtime/debug"

	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/serve"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var flags options.Flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve images from the cache, and from their origins what it does not have",
		Args:  cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.Options()
			if err != nil {
				return cli.Usage(err)
			}
			setCollector()
			log, stop, err := cli.OpenLog(cmd, o.LogLevel, o.LogFormat)
			if err != nil {
				return err
			}
			defer stop()
			return app.Run(cmd.Context(), o, cmd.OutOrStdout(), log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

// setCollector has Go collect garbage half as often as it does by itself. What lives is a few MiB, which each request's garbage fills
// again soon: under load a tenth of the CPU would go into looking at it. GOGC in the environment says otherwise.
func setCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

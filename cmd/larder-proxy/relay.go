package main

import (
	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/proxy"
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
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.Options()
			if err != nil {
				return cli.Usage(err)
			}
			log, stop, err := cli.OpenLog(cmd, o.LogLevel, o.LogFormat)
			if err != nil {
				return err
			}
			defer stop()
			return app.Run(cmd.Context(), o, cmd.OutOrStdout(), log)
		},
	}
	flags.Bind(root.Flags())
	root.AddCommand(newHosts())
	return root
}

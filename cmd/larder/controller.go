package main

import (
	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/controller"
	"github.com/larder-dev/larder/internal/app/kube"
	options "github.com/larder-dev/larder/internal/options/controller"
	"github.com/spf13/cobra"
)

func newController() *cobra.Command {
	var flags options.Flags
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "In a cluster: make CachedImages and Repositories of what pods use, and expire what nothing uses",
		Long: "In a cluster: make a CachedImage of each image that pods use of Larder, and a Repository of each repository; say who uses " +
			"them, and expire what nothing uses. It holds no image and reads no secret: larder registry does.",
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
			kube.SetLogger(cmd.Context(), log.WithName("kubernetes"))
			return app.Run(cmd.Context(), o, cmd.OutOrStdout(), log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

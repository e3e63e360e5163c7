package main

import (
	"github.com/spf13/cobra"

	app "github.com/larder-dev/larder/internal/app/cleanup"
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/app/kube"
	options "github.com/larder-dev/larder/internal/options/cleanup"
)

func newCleanup() *cobra.Command {
	var flags options.Flags
	cmd := &cobra.Command{
		Use:   "cleanup --finalizers",
		Short: "In a cluster: release what Larder held, once it is uninstalled",
		Long: "In a cluster: release what Larder held, once it is uninstalled. The registry holds each CachedImage by a finalizer until it has " +
			"untagged its image, and the controller each Repository that has images; without them nobody would remove those, and what is " +
			"deleted would never go. The chart runs this at the end of helm uninstall.",
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
			return app.Run(cmd.Context(), o, log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

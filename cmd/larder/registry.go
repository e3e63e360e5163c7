package main

import (
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/app/kube"
	app "github.com/larder-dev/larder/internal/app/registry"
	options "github.com/larder-dev/larder/internal/options/registry"
	"github.com/spf13/cobra"
)

func newRegistry() *cobra.Command {
	var flags options.Flags
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "In a cluster: serve images from the cache, as its Repositories and CachedImages say",
		Long: "In a cluster: serve images from the cache, and from their origins what it does not have. Repositories say how fresh " +
			"tags are kept, CachedImages what is kept; both come from the API server, and this writes the CachedImages' status. " +
			"While the API server does not answer, also at the start, it serves what it has by what it knew last.\n\n" +
			"With --token-file, a private image is served to a node only where a pod that is bound to it uses the image and has a pull secret to which " +
			"the origin said yes once. Without, everybody who reaches it can pull every stored image.",
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

package main

import (
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/rewrite"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/spf13/cobra"
)

func newRewrite() *cobra.Command {
	var o app.Options
	var config, proxy string
	cmd := &cobra.Command{
		Use:   "rewrite -f FILE",
		Short: "Say what the pod webhook would do with the images of manifests, and why",
		Long: "Say what the pod webhook would do with the images of manifests, and why. It reads Pods, and workloads that have a pod template, and " +
			"asks no cluster. Where a manifest sets no imagePullPolicy, that is what the API server would set.",
		Example: "  larder rewrite -f deployment.yaml\n  kubectl get pod web-0 -o yaml | larder rewrite -f -",
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.Files) == 0 {
				return cli.Usage(errors.New("--filename: missing: name a file of manifests, or - for standard input"))
			}
			if err := rewrite.CheckProxy(proxy); err != nil {
				return cli.Usage(fmt.Errorf("--proxy: %w", err))
			}
			rules, err := options.ReadRules(config, cmd.Flags().Changed("config"), proxy, "")
			if err != nil {
				return cli.Usage(err)
			}
			o.Rules, o.In, o.Out, o.Remarks = rules, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Run(o)
		},
	}
	cmd.Flags().StringSliceVarP(&o.Files, "filename", "f", nil, "file of manifests, or - for standard input; may be given more than once")
	cmd.Flags().StringVarP(&o.Namespace, "namespace", "n", "default", "namespace of manifests that name none")
	cmd.Flags().StringVar(&proxy, "proxy", "localhost:7439", "host:port of the nodes' proxy")
	cmd.Flags().StringVar(&config, "config", "larder.yaml", "configuration file, for its section webhook; the default one may be missing")
	return cmd
}

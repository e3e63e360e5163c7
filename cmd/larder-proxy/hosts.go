package main

import (
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/hosts"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/spf13/cobra"
)

func newHosts() *cobra.Command {
	var dir, proxy string
	var log daemon.Log
	cmd := &cobra.Command{
		Use:   "hosts",
		Short: "In mirror mode: keep the file by which containerd asks the proxy first",
		Long: "In mirror mode: write _default/hosts.toml, by which containerd asks the proxy before any origin, keep it there, and remove it at " +
			"the end. A file that somebody else wrote is left as it is.",
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, err := range []error{daemon.CheckPath("dir", dir, "folder"), daemon.CheckAddress("proxy", proxy), log.Check()} {
				if err != nil {
					return cli.Usage(err)
				}
			}
			log, stop, err := cli.OpenLog(cmd, log.Level, log.Format)
			if err != nil {
				return err
			}
			defer stop()
			return hosts.New(dir, proxy).Keep(cmd.Context(), log)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "containerd's folder of registries (its config_path), such as /etc/containerd/certs.d; required: pulls of the node change")
	cmd.Flags().StringVar(&proxy, "proxy", "127.0.0.1:7439", "host:port that the proxy listens on")
	log.Bind(cmd.Flags())
	return cmd
}

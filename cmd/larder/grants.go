package main

import (
	"fmt"

	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/grants"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
)

func newGrants() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grants",
		Short: "Say or end what origins let the pods of a cluster pull",
		Long: "Say or end what origins let the pods of a cluster pull. Where larder registry owns the data folder, it does the work: in its container " +
			"these commands take the --data and the --config that it has.",
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGrantsList(), newGrantsRevoke())
	return cmd
}

func newGrantsList() *cobra.Command {
	var flags options.CacheFlags
	cmd := &cobra.Command{
		Use:   "list [REPOSITORY...]",
		Short: "List who may pull what",
		Long: "List who may pull what: of each repository the credentials to which its origin said yes, by a fingerprint that tells nothing of them, " +
			"and the namespaces whose pods had them. anonymous stands for everybody, larder/ for what is Larder's own.",
		Example: "  larder grants list\n  larder grants list ghcr.io/org/app",
		RunE: func(cmd *cobra.Command, names []string) error {
			repositories, err := parseRepositories(names)
			if err != nil {
				return err
			}
			o, log, err := readCache(&flags, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.List(cmd.Context(), app.Options{Cache: o, Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr()}, repositories, log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

func newGrantsRevoke() *cobra.Command {
	var flags options.CacheFlags
	var r grant.Revocation
	cmd := &cobra.Command{
		Use:   "revoke REPOSITORY",
		Short: "End what an origin has granted",
		Long: "End what an origin has granted: all of a repository, or with --namespace and --grant some of it. Who held it is asked for at the " +
			"origin again with the next pull. So this takes an image from those whose secret was revoked there.",
		Example: "  larder grants revoke ghcr.io/org/app --namespace team-a\n  larder grants revoke ghcr.io/org/app --grant 3f2a",
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			repositories, err := parseRepositories(names)
			if err != nil {
				return err
			}
			r.Repository = repositories[0]
			o, log, err := readCache(&flags, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.Revoke(cmd.Context(), app.Options{Cache: o, Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr()}, r, log)
		},
	}
	flags.Bind(cmd.Flags())
	cmd.Flags().StringVar(&r.Namespace, "namespace", "", "only what pods of this namespace hold; credentials that others share with them end for all")
	cmd.Flags().StringVar(&r.ID, "grant", "", "only this one, or those that begin so, as larder grants list says")
	return cmd
}

// parseRepositories returns the full forms of names.
func parseRepositories(names []string) ([]string, error) {
	repositories := make([]string, 0, len(names))
	for _, name := range names {
		repo, err := imageref.ParseRepository(name)
		if err != nil {
			return nil, cli.Usage(fmt.Errorf("repository %q: %w", name, err))
		}
		repositories = append(repositories, repo.String())
	}
	return repositories, nil
}

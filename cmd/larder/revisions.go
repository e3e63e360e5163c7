package main

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/app/kube"
	app "github.com/larder-dev/larder/internal/app/revisions"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/revisions"
)

func newHistory() *cobra.Command {
	return revisionCommand(&cobra.Command{
		Use:   "history IMAGE",
		Short: "Say what a tag was, since when, and why",
		Long: "Say what a tag is and was, since when, and why, newest first, and what its origin has. It looks in a data folder, through larder " +
			"serve where that owns it, or with --kubeconfig or --context in a cluster.",
		Example: "  larder history postgres:15\n  larder history --context prod postgres:15",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}, func(ctx context.Context, o app.Options, _ []string, log logr.Logger) error {
		return app.History(ctx, o, log)
	})
}

func newPin() *cobra.Command {
	return revisionCommand(&cobra.Command{
		Use:   "pin IMAGE DIGEST",
		Short: "Have a tag stay at a revision, whatever its origin says",
		Long: "Have a tag stay at a revision, whatever its origin says, until larder unpin. Checks go on, and larder history shows what the origin " +
			"has. What is not stored is brought in first; where nobody has it, nothing changes. Of a revision in the history the first digits will do.",
		Example: "  larder pin postgres:15 sha256:9f2c\n  larder pin --context prod postgres:15 9f2c41d0",
		Args:    cli.Args(cobra.ExactArgs(2)),
	}, func(ctx context.Context, o app.Options, args []string, log logr.Logger) error {
		return app.Pin(ctx, o, args[1], log)
	})
}

func newUnpin() *cobra.Command {
	return revisionCommand(&cobra.Command{
		Use:     "unpin IMAGE",
		Short:   "Have a tag follow its origin again",
		Long:    "Have a tag follow its origin again: it is at once what that said last.",
		Example: "  larder unpin postgres:15\n  larder unpin --context prod postgres:15",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}, func(ctx context.Context, o app.Options, _ []string, log logr.Logger) error {
		return app.Unpin(ctx, o, log)
	})
}

func newRollback() *cobra.Command {
	var to string
	cmd := revisionCommand(&cobra.Command{
		Use:   "rollback IMAGE",
		Short: "Pin a tag to what it was before",
		Long: "Pin a tag to what it was before: to the last revision that was stored whole, or to the one named by --to. That needs no origin. " +
			"Pods that run keep what they run; those that pull from now on get it. larder unpin goes forward again.",
		Example: "  larder rollback postgres:15\n  larder rollback --context prod postgres:15 --to sha256:9f2c",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}, func(ctx context.Context, o app.Options, _ []string, log logr.Logger) error {
		return app.Rollback(ctx, o, to, log)
	})
	cmd.Flags().StringVar(&to, "to", "", "digest, or its first digits; default: the last complete revision before the one that is served")
	return cmd
}

// revisionCommand completes a command about one tag.
func revisionCommand(cmd *cobra.Command, run func(context.Context, app.Options, []string, logr.Logger) error) *cobra.Command {
	var flags options.Flags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		image, err := imageref.Parse(args[0])
		if err == nil && image.Digest != "" {
			err = errors.New("an image by digest has one revision alone: name it by its tag")
		}
		o, flagsErr := flags.Options()
		if err := errors.Join(err, flagsErr); err != nil {
			return cli.Usage(err)
		}
		log := logr.Discard()
		if o.Cluster == nil {
			if log, err = logging.New(o.LogLevel, o.LogFormat, cmd.ErrOrStderr()); err != nil {
				return err
			}
		}
		kube.SetLogger(cmd.Context(), logr.Discard())
		return run(cmd.Context(), app.Options{Options: o, Image: image, Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr()}, args, log)
	}
	flags.Bind(cmd.Flags())
	return cmd
}

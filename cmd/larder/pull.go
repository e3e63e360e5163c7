package main

import (
	"errors"
	"io"
	"os"

	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/pull"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newPull() *cobra.Command {
	var flags options.CacheFlags
	var platforms []string
	cmd := &cobra.Command{
		Use:   "pull IMAGE...",
		Short: "Bring whole images into the cache",
		Long: "Bring whole images into the cache. Where larder serve owns the data folder, it does the work, " +
			"with its own configuration and manifests. A tag that is stored is asked for again as its policy says.",
		Example: "  larder pull postgres:15 ghcr.io/org/app:v1\n  larder pull --platform linux/amd64 --platform linux/arm64 nginx",
		Args:    cli.Args(anImage),
		RunE: func(cmd *cobra.Command, names []string) error {
			images, err := app.ParseImages(names)
			o, flagsErr := flags.Options()
			if err := errors.Join(err, app.CheckPlatforms(platforms), flagsErr); err != nil {
				return cli.Usage(err)
			}
			log, err := logging.New(o.LogLevel, o.LogFormat, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			return app.Run(cmd.Context(), app.Options{
				Cache: o, Images: images, Platforms: platforms, Terminal: isTerminal(out), Out: out, Remarks: cmd.ErrOrStderr(),
			}, log)
		},
	}
	flags.Bind(cmd.Flags())
	cmd.Flags().StringSliceVar(&platforms, "platform", nil,
		"platform to bring in, such as linux/amd64; may be given more than once; default: all of an image")
	return cmd
}

func anImage(_ *cobra.Command, names []string) error {
	if len(names) == 0 {
		return errors.New("name at least one image, such as postgres:15")
	}
	return nil
}

// isTerminal says whether w is a terminal on which a line can be drawn over.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/larder-dev/larder/internal/app/cli"
	app "github.com/larder-dev/larder/internal/app/move"
	"github.com/larder-dev/larder/internal/app/pull"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/logging"
	options "github.com/larder-dev/larder/internal/options/serve"
	"github.com/spf13/cobra"
)

func newExport() *cobra.Command {
	var flags options.StoreFlags
	var o app.ExportOptions
	var list string
	cmd := &cobra.Command{
		Use:   "export IMAGE... -o FOLDER|FILE.tar",
		Short: "Write stored images as an OCI layout, for a site without a connection",
		Long: "Write stored images as an OCI layout: a folder, or a tar file where the name ends in .tar. Nothing is changed, nor asked of an " +
			"origin; of an index the platforms that are stored come along. It reads the store beside larder serve.",
		Example: "  larder export postgres:15 ghcr.io/org/app:v1 -o images.tar\n  larder export --all -o images.tar",
		RunE: func(cmd *cobra.Command, names []string) error {
			listed, listErr := readList(list, cmd.InOrStdin())
			images, err := pull.ParseImages(append(names, listed...))
			if err = errors.Join(listErr, err); err == nil && o.All == (len(images) > 0) {
				err = errors.New("name at least one image, such as postgres:15, or --all")
			}
			if o.Output == "" {
				err = errors.Join(err, errors.New("--output: write the name of a folder, or of a file that ends in .tar"))
			}
			cache, flagsErr := flags.Options()
			if err := errors.Join(err, flagsErr); err != nil {
				return cli.Usage(err)
			}
			o.Cache, o.Images, o.Out = cache, images, cmd.OutOrStdout()
			log, err := logging.New(cache.LogLevel, cache.LogFormat, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.Export(cmd.Context(), o, log)
		},
	}
	flags.Bind(cmd.Flags())
	cmd.Flags().BoolVar(&o.All, "all", false, "every stored tag")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "folder, or file that ends in .tar")
	cmd.Flags().StringVarP(&list, "file", "f", "", "file with an image a line; - is standard input")
	return cmd
}

// readList returns the lines of a file but for empty ones and comments; none where no file is named.
func readList(name string, stdin io.Reader) ([]string, error) {
	from := stdin
	switch name {
	case "":
		return nil, nil
	case "-":
	default:
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer file.Close()
		from = file
	}
	var lines []string
	scanner := bufio.NewScanner(from)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// words wants as many words as there are hints, which say what is missing.
func words(hints ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(hints):
			return errors.New(hints[len(args)])
		case len(args) > len(hints):
			return fmt.Errorf("%q: one word too many", args[len(hints)])
		}
		return nil
	}
}

func newImport() *cobra.Command {
	var flags options.StoreFlags
	cmd := &cobra.Command{
		Use:   "import FOLDER|FILE",
		Short: "Bring the images of an OCI layout into the cache",
		Long: "Bring the images of an OCI layout, a folder or a tar file, into the cache, under the names that it gives them. Every byte is " +
			"verified; a layout with a wrong one tags nothing. Where larder serve owns the data folder, it does the work.",
		Args: cli.Args(words("write the layout to import: a folder, or a tar file")),
		RunE: func(cmd *cobra.Command, args []string) error {
			cache, log, err := readCache(&flags, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.Import(cmd.Context(), app.ImportOptions{Cache: cache, Layout: args[0], Out: cmd.OutOrStdout(), Remarks: cmd.ErrOrStderr()}, log)
		},
	}
	flags.Bind(cmd.Flags())
	return cmd
}

func newCopy() *cobra.Command {
	var flags options.StoreFlags
	var plain bool
	cmd := &cobra.Command{
		Use:   "copy IMAGE REGISTRY/REPOSITORY:TAG",
		Short: "Push a stored image to another registry, unchanged",
		Long: "Push a stored image to another registry, unchanged: an index with all its platforms, which have to be stored. Credentials are " +
			"those of Docker's configuration. It reads the store beside larder serve.",
		Args: cli.Args(words("write the image to copy", "write where to: registry.example/repository:tag")),
		RunE: func(cmd *cobra.Command, args []string) error {
			image, err := imageref.Parse(args[0])
			target, targetErr := app.ParseTarget(args[1], plain)
			cache, flagsErr := flags.Options()
			if err := errors.Join(err, targetErr, flagsErr); err != nil {
				return cli.Usage(err)
			}
			log, err := logging.New(cache.LogLevel, cache.LogFormat, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.Copy(cmd.Context(), app.CopyOptions{Cache: cache, Image: image, Target: target, Out: cmd.OutOrStdout()}, log)
		},
	}
	flags.Bind(cmd.Flags())
	cmd.Flags().BoolVar(&plain, "plain-http", false, "reach the other registry by plain HTTP; on loopback that is the default")
	return cmd
}

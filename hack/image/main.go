// Command image builds Larder's images as OCI layouts, for several platforms and without a container engine, and loads them into a
// registry or a containerd. The same commit, version and Go toolchain give the same digests on any machine. It never reads files of
// the host but the repository's own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run builds the images, or loads those that were built.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "load" {
		o, err := parseLoad(args[1:], stderr)
		if err != nil {
			return err
		}
		return o.load(ctx, stdout)
	}
	o, err := parseBuild(args, stderr)
	if err != nil {
		return err
	}
	return o.build(ctx, stdout)
}

// Command bench measures Larder beside its peers, in one run on one machine, and writes what it found as a table, as Markdown and as a
// plot. It needs Linux, Go, and nginx for one of its rows. Bench scale measures Larder in a cluster with many pods.
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

	"github.com/larder-dev/larder/hack/bench/internal/floor"
	"github.com/larder-dev/larder/hack/bench/internal/origin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run runs the benchmark, or one of the servers that it starts itself as processes of their own.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 4 && args[0] == "origin":
		return origin.Serve(ctx, args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "floor":
		return floor.Serve(ctx, args[1], args[2])
	case len(args) > 0 && args[0] == "scale":
		return runScale(ctx, args[1:], stdout, stderr)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return o.bench(ctx, stdout, stderr)
}

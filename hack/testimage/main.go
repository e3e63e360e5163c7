// Testimage builds the Debian image of tests and trials (see package tests/origin/debian) where it is missing, and prints the folder
// of its OCI layout. It needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/larder-dev/larder/tests/origin/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testimage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := debian.Options{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	flag.StringVar(&o.Dir, "dir", "", "folder of the layout (default: larder/testimage in the user's cache folder)")
	flag.StringVar(&o.Command, "command", "", "Go package of the binary in the last layer (default: cmd/larder)")
	flag.BoolVar(&o.Rebuild, "rebuild", false, "build also where the layout exists")
	flag.Parse()
	dir, err := debian.Build(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

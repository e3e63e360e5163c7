// Command licenses lists the licences of all modules that have code in Larder's binaries, and fails where one is not allowed or could
// not be recognised. It reads the module cache and never asks the network.
package main

import (
	"bytes"
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
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "licenses: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run writes the list, or with -verify compares it.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("licenses", flag.ContinueOnError)
	flags.SetOutput(stderr)
	source := flags.String("source", "../..", "the module's `folder`")
	list := flags.String("list", "../../docs/licenses.csv", "the list's `file`")
	verify := flags.Bool("verify", false, "write nothing; fail where the list is stale")
	if err := flags.Parse(args); err != nil {
		return err
	}
	modules, err := modules(ctx, *source)
	if err != nil {
		return err
	}
	fresh, err := report(modules)
	if err != nil {
		return err
	}
	if !*verify {
		return os.WriteFile(*list, fresh, 0o644)
	}
	old, err := os.ReadFile(*list)
	if err != nil {
		return fmt.Errorf("reading the list: %w (make licenses writes it)", err)
	}
	if !bytes.Equal(old, fresh) {
		return fmt.Errorf("%s is stale: run make licenses", *list)
	}
	return nil
}

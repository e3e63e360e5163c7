package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/scale"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// scaleOptions are the command line of bench scale.
type scaleOptions struct {
	scale.Options
	out  string // the Markdown page; empty: none
	keep bool
	use  string // the larder binary; empty: it is built
	args []string
}

func parseScale(args []string, stderr io.Writer) (scaleOptions, error) {
	o := scaleOptions{args: args}
	set := flag.NewFlagSet("bench scale", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.IntVar(&o.Pods, "pods", 10_000, "how many pods there are")
	set.IntVar(&o.Images, "images", 3_000, "how many images they use")
	set.IntVar(&o.Singles, "singles", 30, "how many pods come one at a time")
	set.IntVar(&o.Kills, "kills", 30, "how often the processes are killed in a run of its own; 0: no such run")
	set.DurationVar(&o.Steady, "steady", 5*time.Minute, "how long nothing happens")
	set.StringVar(&o.out, "out", "", "write a section of a Markdown page there")
	set.StringVar(&o.Dir, "dir", os.TempDir(), "where to put contents, stores and logs")
	set.BoolVar(&o.keep, "keep", false, "leave the folder with the logs there")
	set.StringVar(&o.use, "larder", "", "measure this binary, by its full path, instead of building one")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	case o.Images < 1 || o.Singles < 1 || o.Kills < 0:
		return o, fmt.Errorf("-images %d -singles %d -kills %d: write numbers above 0", o.Images, o.Singles, o.Kills)
	case o.Pods < o.Images:
		return o, fmt.Errorf("-pods %d: write at least as many as -images, %d", o.Pods, o.Images)
	}
	return o, nil
}

// runScale measures Larder in a cluster, and shows what it found. Progress goes to stderr.
func runScale(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseScale(args, stderr)
	if err != nil {
		return err
	}
	if o.Dir, err = os.MkdirTemp(o.Dir, "larder-scale-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if !o.keep {
		defer os.RemoveAll(o.Dir)
	}
	r, err := o.measure(ctx, stderr)
	if err != nil {
		return err
	}
	if err := r.Text(stdout); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if o.out == "" {
		return nil
	}
	return writeSection(r, o.out)
}

func (o scaleOptions) measure(ctx context.Context, stderr io.Writer) (r report.Report, err error) {
	began := time.Now()
	o.Progress = func(format string, args ...any) {
		fmt.Fprintf(stderr, "%7s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}
	if r.Machine, err = machine(ctx); err != nil {
		return r, err
	}
	if o.Root, err = server.Root(ctx); err != nil {
		return r, err
	}
	o.Progress("working in %s", o.Dir)
	if o.Binaries, err = o.binaries(ctx); err != nil {
		return r, err
	}
	r.Command, r.Began, r.Rounds = strings.Join(append([]string{"go run . scale"}, o.args...), " "), began, 1
	if o.Pods < 10_000 || o.Images < 3_000 {
		r.Notes = append(r.Notes, "This is a smaller run than the usual one: do not quote it.")
	}
	r.Rows, err = scale.Run(ctx, o.Options)
	r.Took = time.Since(began)
	return r, err
}

func (o scaleOptions) binaries(ctx context.Context) (server.Binaries, error) {
	if o.use == "" {
		return server.BuildLarder(ctx, o.Dir)
	}
	self, err := os.Executable()
	return server.Binaries{Larder: o.use, Self: self}, err
}

// writeSection replaces the section about scale in a page.
func writeSection(r report.Report, page string) error {
	var section bytes.Buffer
	if err := r.Section(&section); err != nil {
		return err
	}
	text, err := report.ReplaceSection(page, section.Bytes())
	if err != nil {
		return fmt.Errorf("reading the last report: %w", err)
	}
	return create(page, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

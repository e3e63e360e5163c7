package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/row"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// bench measures, and shows what it found. Progress goes to stderr.
func (o options) bench(ctx context.Context, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "larder-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(stderr, "building Larder and distribution")
	binaries, err := server.Build(ctx, dir)
	if err != nil {
		return err
	}
	r, err := o.measure(ctx, &row.Bench{
		Dir: dir, Binaries: binaries, Rounds: o.rounds, Quick: o.quick,
		Progress: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	if err := r.Text(stdout); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if o.out == "" {
		return nil
	}
	return write(r, o.out)
}

func (o options) measure(ctx context.Context, b *row.Bench) (report.Report, error) {
	m, err := machine(ctx)
	if err != nil {
		return report.Report{}, err
	}
	r := report.Report{
		Command: strings.Join(append([]string{"go run ."}, o.args...), " "), Machine: m, Began: time.Now(), Rounds: o.rounds,
	}
	if b.Binaries.Nginx == "" {
		r.Notes = append(r.Notes, "nginx is not installed here (Debian: nginx-light): the ratio to it was not measured.")
	}
	if o.quick {
		r.Notes = append(r.Notes, "This is a quick run, with fewer clients and smaller blobs: do not quote it.")
	}
	for _, measured := range o.rows {
		done, err := measured.Run(ctx, b)
		if err != nil {
			return report.Report{}, fmt.Errorf("row %s: %w", measured.Name, err)
		}
		r.Rows = append(r.Rows, done)
	}
	r.Took = time.Since(r.Began)
	return r, nil
}

// write writes the page and the plot. The page keeps what others wrote at its end.
func write(r report.Report, page string) error {
	others, err := report.ReadOthers(page)
	if err != nil {
		return fmt.Errorf("reading the last report: %w", err)
	}
	plot := strings.TrimSuffix(page, filepath.Ext(page)) + ".svg"
	err = create(page, func(w io.Writer) error {
		err := r.Markdown(w, filepath.Base(plot))
		if err == nil && others != nil {
			_, err = fmt.Fprintf(w, "\n%s", others)
		}
		return err
	})
	if err != nil {
		return err
	}
	return create(plot, r.Plot)
}

func create(name string, fill func(io.Writer) error) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	defer func() {
		if closing := file.Close(); err == nil && closing != nil {
			err = fmt.Errorf("writing the report: %w", closing)
		}
	}()
	return fill(file)
}

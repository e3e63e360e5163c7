// Package sweep is larder sweep and larder rm: they remove images from a data folder and free its room, by themselves or, where another
// process owns the folder, through that one (rule P4).
package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/beside"
	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/store"
)

// Options configure a sweep.
type Options struct {
	serve.Cache               // the folder
	Grace       time.Duration // < 0: that of the owner's configuration
	DryRun      bool
	Out         io.Writer // takes what was freed
	Remarks     io.Writer // takes what else a person may want to know
}

// errInterrupted is all that there is to say after Ctrl-C.
var errInterrupted = errors.New("interrupted: what is freed stays so, run the command again for the rest")

// Run sweeps, and says on o.Out what was freed, or would be.
func Run(ctx context.Context, o Options, log logr.Logger) error {
	on, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "sweeping", Remarks: o.Remarks, Present: true}, log)
	if err != nil {
		return interrupted(ctx, err)
	}
	report, err := on.Sweep(ctx, o.Grace, o.DryRun)
	err = errors.Join(err, release())
	switch {
	case errors.Is(err, store.ErrSweeping):
		err = fmt.Errorf("%w: try again when it has ended", err)
	case errors.Is(err, store.ErrShared):
		err = fmt.Errorf("%w: in a cluster, sweep in the replica that holds the Lease larder-registry; where no other process writes, "+
			"write objectStorage: {exclusive: true} into the configuration; or look with --dry-run", err)
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	return show(o.Out, report, o.DryRun)
}

func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// show words a report.
func show(out io.Writer, report store.SweepReport, dryRun bool) error {
	verb := "freed"
	if dryRun {
		verb = "would free"
	}
	lines := fmt.Sprintf("%s %s\n", verb, words(report.Freed))
	if report.Skipped {
		lines = "nothing to free yet: what was found unreachable has not been so for a grace period\n"
	}
	if report.Waiting != (store.Swept{}) {
		lines += "waiting: " + words(report.Waiting) + "\n"
	}
	if !report.Next.IsZero() {
		lines += fmt.Sprintf("  that can be freed from %s on, or now with --grace 0s\n", report.Next.Local().Format("2006-01-02 15:04:05"))
	}
	if report.Stored > 0 { // in object storage that would take a request for each blob
		lines += fmt.Sprintf("left: %s in %s\n", cli.Size(report.Stored), count(report.Blobs, "blob"))
	}
	if report.Postponed > 0 {
		lines += fmt.Sprintf("%d came into use meanwhile\n", report.Postponed)
	}
	_, err := io.WriteString(out, lines)
	return err
}

func words(s store.Swept) string {
	return fmt.Sprintf("%s in %s, %s and %s", cli.Size(s.Bytes), count(s.Blobs, "blob"), count(s.Manifests, "manifest"), count(s.Tags, "removed tag"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// RemoveOptions configure a removal.
type RemoveOptions struct {
	serve.Cache
	Images  []imageref.Reference
	Out     io.Writer // takes how each removal went
	Remarks io.Writer
}

// Remove removes the images, and says on o.Out how each went. The error counts those that were not removed.
func Remove(ctx context.Context, o RemoveOptions, log logr.Logger) error {
	on, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "removing", Remarks: o.Remarks, Present: true}, log)
	if err != nil {
		return interrupted(ctx, err)
	}
	failed := 0
	for _, ref := range o.Images {
		line := "removed"
		if err := on.Remove(ctx, ref); err != nil {
			failed++
			line = explain(err)
		}
		_, _ = fmt.Fprintf(o.Out, "%s: %s\n", ref, line)
	}
	err = release()
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case failed > 0:
		return errors.Join(fmt.Errorf("%d of %d images were not removed", failed, len(o.Images)), err)
	}
	_, _ = fmt.Fprintln(o.Remarks, "Until its next sweep larder serves them where their origin fails; larder sweep --grace 0s frees their room now.")
	return err
}

func explain(err error) string {
	if errors.Is(err, store.ErrNotFound) {
		return "not stored, so there is nothing to remove"
	}
	return err.Error()
}

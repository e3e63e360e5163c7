package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
)

// job is what to bring in, and where to say how it goes.
type job struct {
	images    []imageref.Reference
	platforms []string
	out       io.Writer
	terminal  bool
}

// run brings the images in one after the other, and goes on after a failure, unless it is that of all; the error counts them.
func (j job) run(ctx context.Context, through control.Mirrorer) error {
	failed := 0
	for _, ref := range j.images {
		err := j.one(ctx, through, ref)
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, control.ErrGone):
			return err
		case err != nil:
			failed++
			_, _ = fmt.Fprintln(j.out, explain(ref, err))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d images failed", failed, len(j.images))
	}
	return nil
}

func (j job) one(ctx context.Context, through control.Mirrorer, ref imageref.Reference) error {
	start := time.Now()
	show := newDisplay(j.out, j.terminal, ref)
	got, err := through.Mirror(ctx, ref, j.platforms, show.progress)
	show.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.out, "%s: %s, digest %s, %s%s\n", ref, cli.Size(got.Size), got.Digest, took(time.Since(start)),
		remark(ref, got.Outcome))
	return err
}

// remark says how an image came about, behind its line.
func remark(ref imageref.Reference, outcome cache.Outcome) string {
	switch outcome.Kind {
	case cache.Miss, cache.Collapsed:
		return " (new)"
	case cache.Revalidated:
		return " (confirmed)"
	case cache.Hit:
		if ref.Digest != "" {
			return " (stored)"
		}
		return " (stored; not asked again: its policy has no check due)"
	case cache.Stale:
		return fmt.Sprintf(" (stale: could not be confirmed: %s)", outcome.Why)
	default:
		return ""
	}
}

// explain is what to say of a failure.
func explain(ref imageref.Reference, err error) string {
	line := fmt.Sprintf("%s: %s", ref, control.Summary(err))
	if hint := advice(ref, err); hint != "" {
		line += "\n  " + hint
	}
	if remembered, ok := errors.AsType[*cache.Remembered](err); ok {
		line += "\n  that was a moment ago: its origin is asked again from " + remembered.Until.Local().Format(time.TimeOnly) + " on"
	}
	return line
}

func took(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// ParseImages reads references as a pod's image field has them. The error tells all that are none.
func ParseImages(names []string) ([]imageref.Reference, error) {
	refs := make([]imageref.Reference, 0, len(names))
	var errs []error
	for _, name := range names {
		ref, err := imageref.Parse(name)
		refs, errs = append(refs, ref), append(errs, err)
	}
	return refs, errors.Join(errs...)
}

// CheckPlatforms refuses what cannot name a platform.
func CheckPlatforms(platforms []string) error {
	for _, platform := range platforms {
		parts := strings.Split(platform, "/")
		if len(parts) < 2 || len(parts) > 3 || strings.Contains("/"+platform+"/", "//") {
			return fmt.Errorf("platform %q: write it as os/architecture, such as linux/amd64 or linux/arm64/v8", platform)
		}
	}
	return nil
}

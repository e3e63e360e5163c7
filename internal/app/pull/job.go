package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

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

// run brings the images in one after the other, and goes on after a failure; the error counts them.
func (j job) run(ctx context.Context, through control.Mirrorer) error {
	failed := 0
	for _, ref := range j.images {
		if err := j.one(ctx, through, ref); err != nil {
			failed++
			_, _ = fmt.Fprintln(j.out, explain(ref, err))
		}
		if ctx.Err() != nil {
			return errors.New("interrupted: what is complete stays, run the command again for the rest")
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
	_, err = fmt.Fprintf(j.out, "%s: %s, digest %s, %s\n", ref, size(got.Size), got.Digest, took(time.Since(start)))
	return err
}

// explain is the line of a failure.
func explain(ref imageref.Reference, err error) string {
	line := fmt.Sprintf("%s: %v", ref, err)
	if hint := advice(ref, err); hint != "" {
		line += "\n  " + hint
	}
	return line
}

func took(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// parseImages reads references as a pod's image field has them.
func parseImages(names []string) ([]imageref.Reference, error) {
	refs := make([]imageref.Reference, 0, len(names))
	for _, name := range names {
		ref, err := imageref.Parse(name)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// checkPlatforms refuses what cannot name a platform.
func checkPlatforms(platforms []string) error {
	for _, platform := range platforms {
		parts := strings.Split(platform, "/")
		if len(parts) < 2 || len(parts) > 3 || strings.Contains("/"+platform+"/", "//") {
			return fmt.Errorf("platform %q: write it as os/architecture, such as linux/amd64 or linux/arm64/v8", platform)
		}
	}
	return nil
}

// Package pull is larder pull: it brings whole images into a data folder, by itself or, where another process owns the
// folder, through that one (rule P4). It succeeds only when every image is stored whole (rule P1).
package pull

import (
	"context"
	"errors"
	"io"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/beside"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/options/serve"
)

// Options configure a pull.
type Options struct {
	serve.Cache                      // the folder, and how to reach origins where this process becomes its owner
	Images      []imageref.Reference // what to bring in
	Platforms   []string             // os/architecture[/variant]; none: all of each image
	Terminal    bool                 // whether out is a terminal
	Out         io.Writer            // takes how each image went
	Remarks     io.Writer            // takes what else a person may want to know
}

// errInterrupted is all that there is to say after Ctrl-C.
var errInterrupted = errors.New("interrupted: what is complete stays, run the command again for the rest")

// Run brings in the images, one after the other, and says on o.Out how each went. The error counts those that failed.
func Run(ctx context.Context, o Options, log logr.Logger) error {
	through, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "pulling", Remarks: o.Remarks}, log)
	if err == nil {
		j := job{images: o.Images, platforms: o.Platforms, out: o.Out, terminal: o.Terminal}
		err = errors.Join(j.run(ctx, through), release())
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

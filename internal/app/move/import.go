package move

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/beside"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/layout"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/opencontainers/go-digest"
)

// ImportOptions say what to import where.
type ImportOptions struct {
	serve.Cache           // where to
	Layout      string    // a folder or a tar file
	Out         io.Writer // takes a line for each image
	Remarks     io.Writer // takes what else a person may want to know
}

// Import brings the images of an OCI layout into the store: through the process that owns the data folder, else by itself (P4).
func Import(ctx context.Context, o ImportOptions, log logr.Logger) error {
	from, err := layout.Open(o.Layout)
	if err != nil {
		return err
	}
	defer from.Close()
	to, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "importing", Remarks: o.Remarks}, log)
	if err != nil {
		return err
	}
	err = to.Import(ctx, from, func(ref imageref.Reference, dgst digest.Digest) {
		_, _ = fmt.Fprintf(o.Out, "%s: digest %s\n", ref, dgst)
	})
	if err != nil {
		err = fmt.Errorf("importing %s: %w", o.Layout, err)
	}
	return errors.Join(err, release())
}

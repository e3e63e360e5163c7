package move

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/layout"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
)

// ImportOptions say what to import where.
type ImportOptions struct {
	serve.Cache           // where to
	Layout      string    // a folder or a tar file
	Out         io.Writer // takes a line for each image
}

// Import brings the images of an OCI layout into the store: through the process that owns the data folder, else by itself (P4).
func Import(ctx context.Context, o ImportOptions, log logr.Logger) error {
	from, err := layout.Open(o.Layout)
	if err != nil {
		return err
	}
	defer from.Close()
	to, release, err := reach(ctx, o.Cache, log)
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

// reach returns what imports into the folder: this process as its owner, or the process that owns it.
func reach(ctx context.Context, o serve.Cache, log logr.Logger) (control.Importer, func() error, error) {
	own, err := owner.Open(ctx, owner.Options{
		Cache: o, Policies: &policy.Current{}, Metrics: metrics.New(prometheus.NewRegistry()), Log: log,
	})
	if err == nil {
		return own.Cache, own.Close, nil
	}
	if !errors.Is(err, store.ErrOwned) {
		return nil, nil, err
	}
	client, dialErr := control.Dial(ctx, store.SocketPath(o.Data))
	if dialErr != nil {
		return nil, nil, errors.Join(err, dialErr)
	}
	return client, func() error { client.Close(); return nil }, nil
}

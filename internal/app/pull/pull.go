// Package pull is larder pull: it brings whole images into a data folder, by itself or, where another process owns the
// folder, through that one (rule P4). It succeeds only when every image is stored whole (rule P1).
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// busyFor is how long a folder may be owned by a process that takes no work: one that starts or stops, or another pull.
	busyFor   = 10 * time.Second
	busyAgain = 200 * time.Millisecond
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
	through, release, err := reach(ctx, o, log)
	if err == nil {
		j := job{images: o.Images, platforms: o.Platforms, out: o.Out, terminal: o.Terminal}
		err = errors.Join(j.run(ctx, through), release())
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// reach returns what brings images into the folder: this process as its owner, or the process that owns it.
func reach(ctx context.Context, o Options, log logr.Logger) (control.Mirrorer, func() error, error) {
	patience := time.NewTimer(busyFor)
	defer patience.Stop()
	for {
		through, release, err := reachOnce(ctx, o, log)
		if !errors.Is(err, control.ErrNoServer) {
			return through, release, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-patience.C:
			return nil, nil, fmt.Errorf("%w; it takes no work over from others: try again when it has ended", err)
		case <-time.After(busyAgain):
		}
	}
}

func reachOnce(ctx context.Context, o Options, log logr.Logger) (control.Mirrorer, func() error, error) {
	policies := &policy.Current{}
	own, err := owner.Open(ctx, owner.Options{
		Cache: o.Cache, Policies: policies, Metrics: metrics.New(prometheus.NewRegistry()), Log: log,
	})
	switch {
	case err == nil:
		_, _ = fmt.Fprintf(o.Remarks, "No larder serve owns %s; pulling alone.\n", o.Data)
		err = loadPolicies(policies, o.Cache, log)
		if err != nil {
			return nil, nil, errors.Join(err, own.Close())
		}
		return own.Cache, own.Close, nil
	case !errors.Is(err, store.ErrOwned):
		return nil, nil, err
	}
	client, dialErr := control.Dial(ctx, store.SocketPath(o.Data))
	switch {
	case errors.Is(dialErr, control.ErrNoServer):
		return nil, nil, errors.Join(err, dialErr)
	case dialErr != nil:
		return nil, nil, dialErr
	}
	return client, func() error { client.Close(); return nil }, nil
}

// loadPolicies puts in force what the folder of manifests says now.
func loadPolicies(current *policy.Current, o serve.Cache, log logr.Logger) error {
	objects, problems, err := owner.Folder(o).Load()
	if err != nil {
		return err
	}
	set, left := policy.Compile(objects.Repositories, objects.CachedImages, o.Defaults)
	current.Store(set)
	for _, p := range problems {
		log.Info("not in force", "reason", p.Error())
	}
	for _, p := range left {
		log.Info("not in force", "file", objects.Source(p.Kind, p.Name), "reason", p.Error())
	}
	return nil
}

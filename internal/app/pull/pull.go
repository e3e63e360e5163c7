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
	serve.Cache          // the folder, and how to reach origins where this process becomes its owner
	Images      []string // as a pod's image field has them
	Platforms   []string // os/architecture[/variant]; none: all of each image
	Terminal    bool     // whether the output is a terminal
}

// Run brings in the images, one after the other, and says on out how each went. The error counts those that failed.
func Run(ctx context.Context, o Options, out io.Writer, log logr.Logger) error {
	refs, err := parseImages(o.Images)
	if err != nil {
		return err
	}
	if err := checkPlatforms(o.Platforms); err != nil {
		return err
	}
	through, release, err := reach(ctx, ownerOptions(o.Cache, log))
	if err != nil {
		return err
	}
	err = job{images: refs, platforms: o.Platforms, out: out, terminal: o.Terminal}.run(ctx, through)
	return errors.Join(err, release())
}

// ownerOptions are those of a process that lives for the pull alone. The defaults of the configuration hold: objects are
// larder serve's to read.
func ownerOptions(o serve.Cache, log logr.Logger) owner.Options {
	set, _ := policy.Compile(nil, nil, o.Defaults) // the options were validated
	current := &policy.Current{}
	current.Store(set)
	return owner.Options{Cache: o, Policies: current, Metrics: metrics.New(prometheus.NewRegistry()), Log: log}
}

// reach returns what brings images into the folder: this process as its owner, or the process that owns it.
func reach(ctx context.Context, o owner.Options) (control.Mirrorer, func() error, error) {
	patience := time.NewTimer(busyFor)
	defer patience.Stop()
	for {
		through, release, err := reachOnce(ctx, o)
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

func reachOnce(ctx context.Context, o owner.Options) (control.Mirrorer, func() error, error) {
	own, err := owner.Open(ctx, o)
	if err == nil {
		return own.Cache, own.Close, nil
	}
	if !errors.Is(err, store.ErrOwned) {
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

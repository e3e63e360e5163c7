// Package beside is what the commands beside larder serve have in common (rule P4): they work on a data folder through the process that
// owns it or, where there is none, as its owner. It does nothing on the folder by itself.
package beside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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
	// busyFor is how long a folder may be owned by a process that takes no work: one that starts or stops, or another command.
	busyFor   = 10 * time.Second
	busyAgain = 200 * time.Millisecond
)

// Options say which folder, and how to work on it where this process becomes its owner.
type Options struct {
	serve.Cache
	Doing   string    // what the command does, for a remark: "pulling"
	Remarks io.Writer // takes what a person may want to know
	Present bool      // there is nothing to do on a folder that does not exist yet
}

// checkPresent keeps a name that is mistyped from becoming a new folder.
func (o *Options) checkPresent() error {
	if !o.Present || o.Storage.Driver != "" {
		return nil
	}
	if _, err := os.Stat(o.Data); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s: name the data folder of larder serve with --data", o.Data)
	}
	return nil
}

// Reach returns what works on the folder: this process as its owner, or the process that owns it. release gives it back.
func Reach(ctx context.Context, o Options, log logr.Logger) (control.Owner, func() error, error) {
	if err := o.checkPresent(); err != nil {
		return nil, nil, err
	}
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

func reachOnce(ctx context.Context, o Options, log logr.Logger) (control.Owner, func() error, error) {
	policies := &policy.Current{}
	own, err := owner.Open(ctx, owner.Options{
		Cache: o.Cache, Policies: policies, Metrics: metrics.New(prometheus.NewRegistry()), Log: log,
	})
	switch {
	case err == nil:
		_, _ = fmt.Fprintf(o.Remarks, "No larder serve owns %s; %s alone.\n", o.Data, o.Doing)
		err = loadPolicies(policies, o.Cache, log)
		if err != nil {
			return nil, nil, errors.Join(err, own.Close())
		}
		return own.Work(), own.Close, nil
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

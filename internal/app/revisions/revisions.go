// Package revisions is larder history, pin, unpin and rollback: it says what a tag was, and has it stay at a revision or follow its origin
// again, in a data folder (through its owner, rule P4) or in a cluster (by its CachedImage). What a pin comes to is decided by those two.
package revisions

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/options/revisions"
)

// Options configure a command.
type Options struct {
	revisions.Options
	Image   imageref.Reference // by tag
	Out     io.Writer          // takes the answer
	Remarks io.Writer          // takes what else a person may want to know
}

// place is where tags are: a data folder or a cluster.
type place interface {
	// tag says what a tag is and was; its error is errUnknown where it is not known.
	tag(ctx context.Context, ref imageref.Reference) (cache.Tag, error)
	// pin returns once the tag is served with dgst.
	pin(ctx context.Context, ref imageref.Reference, dgst digest.Digest) error
	// unpin returns once the tag follows its origin again.
	unpin(ctx context.Context, ref imageref.Reference) error
}

// errUnknown is for an image that is not there.
var errUnknown = errors.New("not cached")

// errInterrupted is all that there is to say after Ctrl-C.
var errInterrupted = errors.New("interrupted: larder history says whether it was done")

// History says what a tag is and was.
func History(ctx context.Context, o Options, log logr.Logger) error {
	return at(ctx, o, "looking", log, func(ctx context.Context, in place) error {
		t, err := in.tag(ctx, o.Image)
		if err != nil {
			return err
		}
		return showHistory(o.Out, o.Image, t)
	})
}

// Pin has a tag stay at a revision, that a person names by its digest or by the beginning of one in the history.
func Pin(ctx context.Context, o Options, revision string, log logr.Logger) error {
	return at(ctx, o, "pinning", log, func(ctx context.Context, in place) error {
		before, err := in.tag(ctx, o.Image)
		if err != nil && !errors.Is(err, errUnknown) {
			return err
		}
		dgst, err := find(before, revision)
		if err != nil {
			return err
		}
		return pin(ctx, o, in, before, dgst)
	})
}

// Rollback pins a tag to a revision that it was before; where none is named, to the last complete one.
func Rollback(ctx context.Context, o Options, revision string, log logr.Logger) error {
	return at(ctx, o, "rolling back", log, func(ctx context.Context, in place) error {
		before, err := in.tag(ctx, o.Image)
		if err != nil {
			return err
		}
		var dgst digest.Digest
		if revision == "" {
			dgst, err = earlier(before)
		} else {
			dgst, err = find(before, revision)
		}
		if err != nil {
			return err
		}
		return pin(ctx, o, in, before, dgst)
	})
}

func pin(ctx context.Context, o Options, in place, before cache.Tag, dgst digest.Digest) error {
	if err := in.pin(ctx, o.Image, dgst); err != nil {
		return err
	}
	return showChange(ctx, o, in, before)
}

// Unpin has a tag follow its origin again.
func Unpin(ctx context.Context, o Options, log logr.Logger) error {
	return at(ctx, o, "unpinning", log, func(ctx context.Context, in place) error {
		before, err := in.tag(ctx, o.Image)
		if err != nil {
			return err
		}
		if err := in.unpin(ctx, o.Image); err != nil {
			return err
		}
		return showChange(ctx, o, in, before)
	})
}

// at does something where the options say, and gives that back. What fails is about the image.
func at(ctx context.Context, o Options, doing string, log logr.Logger, do func(context.Context, place) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("it took longer than --timeout (%v)", o.Timeout))
	defer cancel()
	in, release, err := open(limited, o, doing, log)
	if err == nil {
		err = errors.Join(do(limited, in), release())
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil:
		err = context.Cause(limited)
	case errors.Is(err, errUnknown):
		err = fmt.Errorf("%w: check the name and the tag", err)
	}
	return fmt.Errorf("%s: %w", o.Image, err)
}

func open(ctx context.Context, o Options, doing string, log logr.Logger) (place, func() error, error) {
	if o.Cluster != nil {
		in, err := newCluster(o)
		return in, func() error { return nil }, err
	}
	return openFolder(ctx, o, doing, log)
}

package revisions

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/app/beside"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// folder is a data folder.
type folder struct{ owner control.Owner }

func openFolder(ctx context.Context, o Options, doing string, log logr.Logger) (place, func() error, error) {
	owner, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: doing, Remarks: o.Remarks}, log)
	return folder{owner}, release, err
}

func (f folder) tag(ctx context.Context, ref imageref.Reference) (cache.Tag, error) {
	t, err := f.owner.Tag(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknown
	}
	return t, err
}

func (f folder) pin(ctx context.Context, ref imageref.Reference, dgst digest.Digest) error {
	return f.owner.Pin(ctx, ref, cache.Pin{Digest: dgst, By: store.ByHand}, nil)
}

func (f folder) unpin(ctx context.Context, ref imageref.Reference) error {
	return f.owner.Unpin(ctx, ref, store.ByHand)
}

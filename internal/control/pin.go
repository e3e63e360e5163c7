package control

import (
	"context"
	"net/http"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

type pinRequest struct {
	Image string    `json:"image"`
	Pin   cache.Pin `json:"pin"` // of an unpin, who asks for it
}

// Tag has the owner tell what a tag is and was, as cache.Cache.Tag does.
func (c *Client) Tag(ctx context.Context, ref imageref.Reference) (cache.Tag, error) {
	last, err := c.do(ctx, tagPath, pinRequest{Image: ref.String()}, func(event) {})
	if err != nil || last.Tag == nil {
		return cache.Tag{}, err
	}
	return *last.Tag, nil
}

// Pin has the owner pin a tag, as cache.Cache.Pin does. It ends the work when ctx ends. progress may be nil.
func (c *Client) Pin(ctx context.Context, ref imageref.Reference, pin cache.Pin, progress func(cache.Progress)) error {
	_, err := c.do(ctx, pinPath, pinRequest{Image: ref.String(), Pin: pin}, func(e event) {
		if e.Progress != nil && progress != nil {
			progress(cache.Progress{Done: e.Progress.Done, Total: e.Progress.Total})
		}
	})
	return err
}

// Unpin has the owner unpin a tag, as cache.Cache.Unpin does.
func (c *Client) Unpin(ctx context.Context, ref imageref.Reference, by store.PinOwner) error {
	_, err := c.do(ctx, unpinPath, pinRequest{Image: ref.String(), Pin: cache.Pin{By: by}}, func(event) {})
	return err
}

func (s *server) handlePins(mux *http.ServeMux) {
	mux.HandleFunc("POST "+tagPath, s.pinJob(func(ctx context.Context, ref imageref.Reference, _ cache.Pin, _ func(cache.Progress)) event {
		tag, err := s.owner.Tag(ctx, ref)
		if err != nil {
			return event{Failure: newFailure(err)}
		}
		return event{Tag: &tag}
	}))
	mux.HandleFunc("POST "+pinPath, s.pinJob(func(ctx context.Context, ref imageref.Reference, pin cache.Pin, progress func(cache.Progress)) event {
		return outcome(cache.Mirrored{Digest: pin.Digest}, s.owner.Pin(ctx, ref, pin, progress))
	}))
	mux.HandleFunc("POST "+unpinPath, s.pinJob(func(ctx context.Context, ref imageref.Reference, pin cache.Pin, _ func(cache.Progress)) event {
		return outcome(cache.Mirrored{}, s.owner.Unpin(ctx, ref, pin.By))
	}))
}

// pinJob answers a request about a tag by what job comes to.
func (s *server) pinJob(job func(context.Context, imageref.Reference, cache.Pin, func(cache.Progress)) event) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req pinRequest
		if ref, ok := readImage(w, r, &req, &req.Image); ok {
			s.run(w, r, func(ctx context.Context, progress func(cache.Progress)) event {
				return job(ctx, ref, req.Pin, progress)
			})
		}
	}
}

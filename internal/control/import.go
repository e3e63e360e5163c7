package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// Import has the owner import a layout, as cache.Cache.Import does.
func (c *Client) Import(ctx context.Context, layout io.Reader, told func(imageref.Reference, digest.Digest)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://larder"+importPath, layout)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w (%w)", errCut, bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	_, err = follow(resp.Body, func(e event) {
		if e.Image == nil {
			return
		}
		if ref, err := imageref.Parse(e.Image.Name); err == nil {
			told(ref, e.Image.Digest)
		}
	})
	return err
}

// importer answers with the images as they are imported, while the layout still arrives.
type importer struct {
	imports  Importer
	stopping context.Context // the process's
	silence  time.Duration   // after which a client that sends nothing is given up (P3)
}

func (i *importer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	encoder := json.NewEncoder(w)
	if err := control.EnableFullDuplex(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = control.Flush() // a client that has gone shows in its layout
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(i.stopping, cancel)()
	err := i.imports.Import(ctx, &heard{r.Body, control, i.silence}, func(ref imageref.Reference, dgst digest.Digest) {
		_ = encoder.Encode(event{Image: &imported{ref.String(), dgst}})
	})
	last := event{Result: &result{}}
	switch {
	case i.stopping.Err() != nil:
		last = event{Failure: newFailure(errStopping)}
	case err != nil:
		last = event{Failure: newFailure(err)}
	}
	_ = encoder.Encode(last)
}

// heard is a client's layout. A client that was stopped in the middle would otherwise hold what it has sent for ever.
type heard struct {
	io.Reader
	control *http.ResponseController
	silence time.Duration
}

func (h *heard) Read(p []byte) (int, error) {
	if err := h.control.SetReadDeadline(time.Now().Add(h.silence)); err != nil {
		return 0, err
	}
	n, err := h.Reader.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, fmt.Errorf("nothing more of the layout came for %s: import it again", h.silence)
	}
	if reset := h.control.SetReadDeadline(time.Time{}); err == nil { // what is done with it takes as long as it takes
		err = reset
	}
	return n, err
}

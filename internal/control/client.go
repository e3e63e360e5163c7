package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// ErrNoServer is returned where no process listens on the control socket.
var ErrNoServer = errors.New("nobody listens on the control socket")

// ErrGone is returned where the owner ended in the middle of its work, or before it took any.
var ErrGone = errors.New("larder serve went away")

// errCut is what a client learns when the owner was killed.
var errCut = fmt.Errorf("%w: run the command again", ErrGone)

// Client hands work over to the owner of a data folder. It is safe for concurrent use.
type Client struct {
	http *http.Client
}

// Dial connects to the owner that listens on the socket at path. Where there is none, the error is ErrNoServer.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := dial(ctx, path)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w %s", ErrNoServer, path)
	case err != nil:
		return nil, fmt.Errorf("connecting to the control socket: %w", err)
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		ResponseHeaderTimeout: silence,
		IdleConnTimeout:       silence,
	}
	return &Client{http: &http.Client{Transport: transport}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Mirror has the owner bring an image into its store, as cache.Cache.Mirror does. It ends the work when ctx ends.
// progress may be nil.
func (c *Client) Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error) {
	last, err := c.do(ctx, mirrorPath, request{Image: ref.String(), Platforms: platforms}, func(e event) {
		if e.Progress != nil && progress != nil {
			progress(cache.Progress{Done: e.Progress.Done, Total: e.Progress.Total})
		}
	})
	if err != nil || last.Result == nil {
		return cache.Mirrored{}, err
	}
	got := last.Result
	return cache.Mirrored{Digest: got.Digest, Size: got.Size, Loaded: got.Loaded, Outcome: got.Outcome}, nil
}

// Sweep has the owner delete what nothing reaches, as cache.Cache.Sweep does.
func (c *Client) Sweep(ctx context.Context, grace time.Duration, dryRun bool) (store.SweepReport, error) {
	last, err := c.do(ctx, sweepPath, sweepRequest{Grace: grace, DryRun: dryRun}, func(event) {})
	if err != nil || last.Swept == nil {
		return store.SweepReport{}, err
	}
	return *last.Swept, nil
}

// Remove has the owner remove an image, as cache.Cache.Remove does.
func (c *Client) Remove(ctx context.Context, ref imageref.Reference) error {
	_, err := c.do(ctx, removePath, removeRequest{Image: ref.String()}, func(event) {})
	return err
}

// do hands one job over, and returns the event that ends it. An owner that says nothing for long is given up.
func (c *Client) do(ctx context.Context, path string, asked any, heard func(event)) (event, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() {
		cancel(fmt.Errorf("larder serve said nothing for %v", silence))
	})
	defer watchdog.Stop()
	last, err := c.post(ctx, path, asked, func(e event) {
		watchdog.Reset(silence)
		heard(e)
	})
	if err != nil && ctx.Err() != nil {
		return event{}, context.Cause(ctx)
	}
	return last, err
}

func (c *Client) post(ctx context.Context, path string, asked any, heard func(event)) (event, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return event{}, err
	}
	// The host is never resolved: every connection goes to the socket.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://larder"+path, bytes.NewReader(body))
	if err != nil {
		return event{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return event{}, fmt.Errorf("%w (%w)", errCut, bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return event{}, refusal(resp)
	}
	return follow(resp.Body, heard)
}

// bare leaves out the URL that net/http puts around an error: it means nothing on a socket.
func bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// refusal reads why a request was not taken.
func refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRequest))
	if err != nil {
		return fmt.Errorf("larder serve refused the job with status %d: %w", resp.StatusCode, err)
	}
	return fmt.Errorf("larder serve refused the job with status %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
}

// follow reads events until one ends the work.
func follow(body io.Reader, heard func(event)) (event, error) {
	decoder := json.NewDecoder(body)
	for {
		var e event
		if err := decoder.Decode(&e); err != nil {
			return event{}, errCut
		}
		heard(e)
		switch {
		case e.Failure != nil:
			return event{}, e.Failure.err()
		case e.Result != nil, e.Removed != nil, e.Swept != nil, e.Tag != nil, e.Granted != nil:
			return e, nil
		}
	}
}

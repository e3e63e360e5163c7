package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

// transport keeps no connection: the next measurement starts as the one before did.
var transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}

// Manifest fetches a manifest, which must have this body.
func Manifest(ctx context.Context, url string, want []byte) error {
	resp, err := do(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Equal(body, want) {
		err = errors.New("not the manifest that was pushed")
	}
	if err != nil {
		return fmt.Errorf("fetching %s: %w", url, err)
	}
	return nil
}

// Blob fetches a blob, and compares it.
func Blob(ctx context.Context, url string, want content.Original) error {
	resp, err := do(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := want.Compare(resp.Body, make([]byte, piece)); err != nil {
		return fmt.Errorf("fetching %s: %w", url, err)
	}
	return nil
}

// Ready asks a probe, which must say that all is well.
func Ready(ctx context.Context, url string) error {
	resp, err := do(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// HeadOnce asks once, within timeout.
func HeadOnce(ctx context.Context, h Head, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := do(ctx, http.MethodHead, "http://"+h.Address+h.Path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); got != h.Digest {
		return fmt.Errorf("asking for %s: digest %q, want %q", h.Path, got, h.Digest)
	}
	return nil
}

func do(ctx context.Context, method, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", content.ManifestType) // distribution wants to be asked for OCI
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("fetching %s: status %d", url, resp.StatusCode)
	}
	return resp, nil
}

// Place is where an image is served.
type Place struct {
	Manifest string // the URL of its tag
	Blob     func(digest string) string
}

// parallel is how many layers containerd and Docker fetch at once.
const parallel = 3

// Pull fetches an image as a runtime does: the tag's manifest, then config and layers, three at a time. originals are the image's
// blobs, in its order.
func Pull(ctx context.Context, p Place, img content.Image, originals []content.Original) error {
	if err := Manifest(ctx, p.Manifest, img.Manifest); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, blob := range img.Blobs {
		group.Go(func() error { return Blob(ctx, p.Blob(blob.Digest), originals[i]) })
	}
	return group.Wait()
}

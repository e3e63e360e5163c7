package scale

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/hack/bench/internal/origin"
)

// verify pulls every image, whole, from the registry while the origin fails, and compares digests.
func (w *world) verify(ctx context.Context) error {
	w.o.Progress("pulling every image while the origin fails")
	if err := w.c.origin.Set(ctx, origin.Mode{Status: http.StatusServiceUnavailable}); err != nil {
		return err
	}
	group, pulling := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, want := range w.expect.all() {
		group.Go(func() error { return w.pull(pulling, want.image) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return w.c.origin.Set(ctx, origin.Mode{})
}

func (w *world) pull(ctx context.Context, i image) error {
	base := "http://" + w.registry.address + "/v2/" + i.full()
	if err := get(ctx, base+"/manifests/"+i.Tag, i.Digest); err != nil {
		return err
	}
	for _, blob := range i.Blobs {
		if err := get(ctx, base+"/blobs/"+blob.Digest, blob.Digest); err != nil {
			return err
		}
	}
	return nil
}

// get reads a body, and returns an error unless it has the digest.
func get(ctx context.Context, url, digest string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("pulling: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("pulling: %w", err)
	}
	defer resp.Body.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, resp.Body); err != nil {
		return fmt.Errorf("pulling %s: %w", url, err)
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); resp.StatusCode != http.StatusOK || got != digest {
		return fmt.Errorf("pulling %s: got status %d and %s, want 200 and %s", url, resp.StatusCode, got, digest)
	}
	return nil
}

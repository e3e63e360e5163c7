package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
)

// errWrong is an answer that must never be given, killed or not.
var errWrong = errors.New("a wrong answer")

// client pulls from one process for as long as that lives.
type client struct {
	world    *world
	addr     string
	luck     *rand.Rand
	http     *http.Client
	complete *atomic.Int64 // answers that were read to their end and were right
}

// pull pulls what a tag names, in any order, and says what was wrong: errWrong, or that the process answered no more.
func (c *client) pull(ctx context.Context, tag string) error {
	repository, name, _ := strings.Cut(tag, ":")
	dgst, err := c.tag(ctx, repository, name)
	if err != nil {
		return err
	}
	img, known := c.world.image(dgst)
	if !known {
		return nil
	}
	return c.rest(ctx, repository, img)
}

// rest pulls all that a manifest names.
func (c *client) rest(ctx context.Context, repository string, img origin.Image) error {
	for _, i := range c.luck.Perm(len(img.Manifests)) {
		child := img.Manifests[i]
		if err := c.whole(ctx, repository, "manifests", child.Digest); err != nil {
			return err
		}
		if err := c.rest(ctx, repository, child); err != nil {
			return err
		}
	}
	for _, i := range c.luck.Perm(len(img.Blobs)) {
		if err := c.blob(ctx, repository, img.Blobs[i]); err != nil {
			return err
		}
	}
	return nil
}

// tag asks for a tag's manifest and returns the digest that it has.
func (c *client) tag(ctx context.Context, repository, name string) (digest.Digest, error) {
	method := http.MethodGet
	if c.luck.IntN(4) == 0 {
		method = http.MethodHead
	}
	resp, body, err := c.ask(ctx, method, repository+"/manifests/"+name, "")
	if err != nil {
		return "", err
	}
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if !c.world.isRevision(repository+":"+name, got) {
		return "", fmt.Errorf("%w: %s:%s was never %s", errWrong, repository, name, got)
	}
	if method == http.MethodGet && digest.FromBytes(body) != got {
		return "", fmt.Errorf("%w: %d bytes for %s:%s are not %s", errWrong, len(body), repository, name, got)
	}
	c.complete.Add(1)
	return got, nil
}

// blob reads a blob whole, or a part of it, or hangs up in the middle.
func (c *client) blob(ctx context.Context, repository string, desc ocispec.Descriptor) error {
	switch c.luck.IntN(8) {
	case 0:
		return c.part(ctx, repository, desc)
	case 1:
		return c.hangUp(ctx, repository, desc)
	default:
		return c.whole(ctx, repository, "blobs", desc.Digest)
	}
}

func (c *client) whole(ctx context.Context, repository, kind string, dgst digest.Digest) error {
	_, body, err := c.ask(ctx, http.MethodGet, repository+"/"+kind+"/"+dgst.String(), "")
	if err != nil {
		return err
	}
	if digest.FromBytes(body) != dgst {
		return fmt.Errorf("%w: %d bytes are not %s", errWrong, len(body), dgst)
	}
	c.complete.Add(1)
	return nil
}

func (c *client) part(ctx context.Context, repository string, desc ocispec.Descriptor) error {
	first := c.luck.Int64N(desc.Size)
	last := first + c.luck.Int64N(desc.Size-first)
	resp, body, err := c.ask(ctx, http.MethodGet, repository+"/blobs/"+desc.Digest.String(), fmt.Sprintf("bytes=%d-%d", first, last))
	if err != nil {
		return err
	}
	want := c.world.blob(desc.Digest)
	if resp.StatusCode == http.StatusPartialContent {
		want = want[first : last+1]
	}
	if !bytes.Equal(body, want) {
		return fmt.Errorf("%w: bytes %d-%d of %s", errWrong, first, last, desc.Digest)
	}
	c.complete.Add(1)
	return nil
}

func (c *client) hangUp(ctx context.Context, repository string, desc ocispec.Descriptor) error {
	resp, err := c.open(ctx, http.MethodGet, repository+"/blobs/"+desc.Digest.String(), "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.CopyN(io.Discard, resp.Body, c.luck.Int64N(desc.Size))
	return err
}

// ask returns an answer with its whole body.
func (c *client) ask(ctx context.Context, method, path, bytesRange string) (*http.Response, []byte, error) {
	resp, err := c.open(ctx, method, path, bytesRange)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return resp, body, nil
}

// open asks; any other status than 200 or 206 is an error.
func (c *client) open(ctx context.Context, method, path, bytesRange string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+"/v2/"+host+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if bytesRange != "" {
		req.Header.Set("Range", bytesRange)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		return nil, errors.Join(fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, said), err)
	}
	return resp, nil
}

// requireWhole pulls an image of which all must be there, every byte of it.
func requireWhole(t *testing.T, w *world, addr string, img origin.Image) {
	t.Helper()
	c := &client{world: w, addr: addr, luck: rand.New(rand.NewPCG(0, 0)), http: http.DefaultClient, complete: &atomic.Int64{}}
	for _, child := range append(img.Manifests, img) {
		if err := c.whole(t.Context(), img.Repository, "manifests", child.Digest); err != nil {
			t.Errorf("%s: %v", img.Name(), err)
		}
		for _, blob := range child.Blobs {
			if err := c.whole(t.Context(), img.Repository, "blobs", blob.Digest); err != nil {
				t.Errorf("%s: %v", img.Name(), err)
			}
		}
	}
	if _, err := c.tag(t.Context(), img.Repository, img.Tag); err != nil {
		t.Errorf("%s: %v", img.Name(), err)
	}
}

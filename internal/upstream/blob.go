package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
)

// Blob is a blob's body, not verified, from Offset on.
type Blob struct {
	Body      io.ReadCloser
	Offset    int64 // where Body starts: the asked-for offset, or 0 where the origin ignored the range
	Size      int64 // of the whole blob; -1: the origin does not say
	MediaType string
	Host      string // of the origin that sends it

	origin *origin
}

// Doubt says that the body broke off: where the repository has other sources, they are asked first for a while.
func (b *Blob) Doubt() {
	if b.origin != nil {
		b.origin.avoidFor(downFor)
	}
}

// ResolveBlob asks with HEAD for a blob's size (-1: the origin does not say) and media type. Where the origin, or the host
// that it redirects to, does not do HEAD, it opens the blob's first byte instead.
func (c *Client) ResolveBlob(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, error) {
	return try(ctx, c, repo, func(ctx context.Context, a *attempt) (ocispec.Descriptor, error) {
		desc, err := a.headBlob(ctx, dgst)
		if !errors.Is(err, errNoHead) {
			return desc, err
		}
		b, err := a.openBlob(ctx, dgst, 0, 1)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		_ = b.Body.Close()
		return ocispec.Descriptor{MediaType: b.MediaType, Digest: dgst, Size: b.Size}, nil
	})
}

// Blob opens a blob from offset on; length < 0 means to the end. The context bounds the whole body.
// An origin that knows no ranges answers from 0 on (then length is ignored too). One that knows them may answer with less
// than was asked for: the body then ends without an error.
func (c *Client) Blob(ctx context.Context, repo imageref.Repository, dgst digest.Digest, offset, length int64) (*Blob, error) {
	if offset < 0 || length == 0 {
		return nil, &Error{Reason: Invalid, Host: repo.Host, Credential: anonymous,
			Err: fmt.Errorf("a range of %d bytes from %d on cannot be asked for", length, offset)}
	}
	return try(ctx, c, repo, func(ctx context.Context, a *attempt) (*Blob, error) {
		return a.openBlob(ctx, dgst, offset, length)
	})
}

func (a *attempt) headBlob(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	resp, err := a.send(ctx, call{kind: "blob", method: http.MethodHead, url: a.path("blobs/"+dgst.String(), nil)})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	// A signed URL often holds for GET alone.
	unsigned := resp.StatusCode == http.StatusForbidden && !sameOrigin(resp.Request.URL, a.endpoint.base)
	if noHead(resp) || unsigned {
		return ocispec.Descriptor{}, errNoHead
	}
	if err := a.expect(resp, http.StatusOK); err != nil {
		return ocispec.Descriptor{}, err
	}
	a.proved = true
	return ocispec.Descriptor{MediaType: mediaType(resp), Digest: dgst, Size: resp.ContentLength}, nil
}

func (a *attempt) openBlob(ctx context.Context, dgst digest.Digest, offset, length int64) (*Blob, error) {
	c := call{kind: "blob", method: http.MethodGet, url: a.path("blobs/"+dgst.String(), nil)}
	if asked := rangeHeader(offset, length); asked != "" {
		c.header = http.Header{"Range": {asked}}
	}
	resp, err := a.send(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := a.expect(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		return nil, err
	}
	b := &Blob{Size: resp.ContentLength, MediaType: mediaType(resp), Host: a.repo.Host, origin: a.origin}
	if resp.StatusCode == http.StatusPartialContent {
		part, err := a.checkPart(resp, offset, length)
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		b.Offset, b.Size = part.first, part.size
	}
	a.proved = true
	b.Body = &countingBody{ReadCloser: resp.Body, counter: a.client.metrics.OriginBytes.WithLabelValues(a.repo.Host)}
	return b, nil
}

// checkPart checks that a partial answer is the part that was asked for, or the beginning of it.
func (a *attempt) checkPart(resp *http.Response, offset, length int64) (contentRange, error) {
	part, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return part, a.broken(resp, "a partial answer with an invalid Content-Range: %w", err)
	case part.first != offset:
		return part, a.broken(resp, "the answer begins at %d, asked was for %d", part.first, offset)
	case length > 0 && part.length() > length:
		return part, a.broken(resp, "the answer has %d bytes, asked was for %d", part.length(), length)
	case resp.ContentLength >= 0 && resp.ContentLength != part.length():
		return part, a.broken(resp, "Content-Length and Content-Range contradict each other")
	}
	return part, nil
}

// countingBody counts what arrives.
type countingBody struct {
	io.ReadCloser
	counter prometheus.Counter
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.counter.Add(float64(n))
	return n, err
}

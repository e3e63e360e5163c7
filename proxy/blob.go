package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const octetStream = "application/octet-stream"

// part is an open blob, or a part of one: what is public of a cache.Blob.
type part struct {
	whole          ocispec.Descriptor
	offset, length int64 // length < 0: not known, and then all of the blob
	body           interface {
		io.WriterTo
		io.Closer
	}
}

// adapter serves parts from a cache.
type adapter struct{ *cache.Cache }

func (a adapter) open(ctx context.Context, repo imageref.Repository, dgst digest.Digest, rng fetch.Range) (part, cache.Outcome, error) {
	b, outcome, err := a.Blob(ctx, repo, dgst, rng)
	if b == nil {
		return part{whole: ocispec.Descriptor{Digest: dgst, Size: -1}}, outcome, err
	}
	return part{whole: b.Descriptor, offset: b.Offset, length: b.Length, body: b}, outcome, err
}

func (h *Handler) serveBlob(w http.ResponseWriter, r *http.Request, req *request) error {
	dgst, err := checkDigest(req.Reference)
	if err != nil {
		return err
	}
	etag := quote(dgst)
	if r.Method == http.MethodHead || notModified(r.Header, etag) {
		return h.describeBlob(w, r, req.repo, dgst)
	}
	if h.redirected(w, r, req.repo, dgst) {
		return nil
	}
	rng := requestedRange(r.Header, etag)
	p, outcome, err := h.blobs.open(r.Context(), req.repo, dgst, rng)
	tell(w, outcome)
	if errors.Is(err, cache.ErrRange) {
		writeUnsatisfiable(w, p.whole.Size)
		return nil
	}
	if err != nil {
		return err
	}
	send(w, p, rng.Partial && p.length >= 0)
	return nil
}

// redirected sends a client to object storage for a stored blob, or for the part of it that the client will ask for again there, and says
// whether it did.
func (h *Handler) redirected(w http.ResponseWriter, r *http.Request, repo imageref.Repository, dgst digest.Digest) bool {
	if !h.redirect {
		return false
	}
	desc, url := h.blobs.BlobURL(r.Context(), repo, dgst)
	if url == "" {
		return false
	}
	tell(w, cache.Outcome{Kind: cache.Hit, TTL: -1})
	header := w.Header()
	header.Set("Docker-Content-Digest", string(desc.Digest))
	header.Set("Etag", quote(desc.Digest))
	header.Set("Location", url)
	header.Set("Content-Length", "0")
	header.Set("Cache-Control", "no-store") // the address is good for some minutes only
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// describeBlob answers without the body. It asks the cache even for a 304: whether the repository may have the blob is for the
// cache to say (B6).
func (h *Handler) describeBlob(w http.ResponseWriter, r *http.Request, repo imageref.Repository, dgst digest.Digest) error {
	desc, outcome, err := h.blobs.ResolveBlob(r.Context(), repo, dgst)
	tell(w, outcome)
	if err != nil {
		return err
	}
	settled(w, r, blobContent(desc))
	return nil
}

func blobContent(desc ocispec.Descriptor) content {
	mediaType := desc.MediaType
	if mediaType == "" {
		mediaType = octetStream
	}
	return addressed(mediaType, desc.Digest, desc.Size)
}

// send streams a part and closes it. The headers go out first: net/http would otherwise copy the beginning of the body itself, to
// sniff its type, and a client that waits for the first byte would not know that there is an answer.
//
// Only a part is a 206: where nobody knows how long the blob is, the cache gives the whole for a range.
func send(w http.ResponseWriter, p part, partial bool) {
	defer func() { _ = p.body.Close() }()
	blobContent(p.whole).describe(w.Header())
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		describePart(w.Header(), p.offset, p.length, p.whole.Size)
	}
	w.WriteHeader(status)
	_ = http.NewResponseController(w).Flush() // a connection that is broken shows in WriteTo
	if _, err := p.body.WriteTo(w); err != nil {
		panic(http.ErrAbortHandler)
	}
}

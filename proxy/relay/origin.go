package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/ocipath"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The codes of errors that a relay answers by itself.
const (
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeDenied          = upstream.CodeDenied
	codeDigestInvalid   = "DIGEST_INVALID"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeUnavailable     = upstream.CodeUnavailable
	codeUnsupported     = "UNSUPPORTED"
)

// fallBack answers without the registry: from the origin, or in mirror mode with 503, upon which the runtime goes there itself.
func (h *Handler) fallBack(w http.ResponseWriter, q *request) {
	r := q.client
	w.Header().Set(apiVersion, "registry/2.0")
	if q.ns != "" {
		w.Header()["Oci-Namespace"] = []string{q.ns}
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, codeUnsupported, "Larder is a read-only cache: push to the origin instead")
	case q.Endpoint == ocipath.Base:
		write(w, r, "application/json", []byte("{}"))
	case h.o.Origin == nil:
		refuse(w, r, statusNotNow, codeUnavailable, "no replica of the registry answers")
	case q.Endpoint == ocipath.Unknown:
		refuse(w, r, http.StatusNotFound, codeUnsupported, "no such endpoint: Larder serves manifests, blobs, tags/list and referrers")
	case !q.named:
		refuse(w, r, http.StatusBadRequest, codeNameInvalid, "the path names no repository")
	default:
		if err := h.hold(q); err != nil {
			refuse(w, r, statusNotNow, codeUnavailable, err.Error())
			return
		}
		h.o.Metrics.Fallbacks.WithLabelValues(q.Endpoint.String()).Inc()
		h.fromOrigin(w, q)
	}
}

func (h *Handler) fromOrigin(w http.ResponseWriter, q *request) {
	var err error
	var unknown string
	switch q.Endpoint {
	case ocipath.Manifest:
		unknown, err = codeManifestUnknown, h.manifestFromOrigin(w, q)
	case ocipath.Blob:
		unknown, err = codeBlobUnknown, h.blobFromOrigin(w, q)
	case ocipath.Tags:
		unknown, err = codeNameUnknown, h.tagsFromOrigin(w, q)
	default:
		unknown, err = codeNameUnknown, h.referrersFromOrigin(w, q)
	}
	if err != nil {
		refuseFor(w, q, err, unknown)
	}
}

func (h *Handler) manifestFromOrigin(w http.ResponseWriter, q *request) error {
	r := q.client
	if r.Method == http.MethodHead {
		desc, _, err := h.o.Origin.ResolveManifest(r.Context(), q.repo, q.Reference)
		if err != nil {
			return err
		}
		describe(w.Header(), desc)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	m, err := h.o.Origin.Manifest(r.Context(), q.repo, q.Reference)
	if err != nil {
		return err
	}
	describe(w.Header(), m.Descriptor)
	write(w, r, m.MediaType, m.Body)
	return nil
}

func (h *Handler) tagsFromOrigin(w http.ResponseWriter, q *request) error {
	tags, err := h.o.Origin.Tags(q.client.Context(), q.repo)
	if err != nil {
		return err
	}
	return writeJSON(w, q.client, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.Name, tags})
}

func (h *Handler) referrersFromOrigin(w http.ResponseWriter, q *request) error {
	dgst, err := imageref.ParseDigest(q.Reference)
	if err != nil {
		return errDigest
	}
	all, err := h.o.Origin.Referrers(q.client.Context(), q.repo, dgst)
	if err != nil {
		return err
	}
	if artifactType, _ := ocipath.QueryValue(q.client.URL.RawQuery, "artifactType"); artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		all = slices.DeleteFunc(all, func(d ocispec.Descriptor) bool { return d.ArtifactType != artifactType })
	}
	return writeJSON(w, q.client, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: all,
	})
}

var errDigest = errors.New("the reference is no digest")

func (h *Handler) blobFromOrigin(w http.ResponseWriter, q *request) error {
	ctx, r := q.client.Context(), q.client
	dgst, err := imageref.ParseDigest(q.Reference)
	if err != nil {
		return errDigest
	}
	if r.Method == http.MethodHead {
		desc, err := h.o.Origin.ResolveBlob(ctx, q.repo, dgst)
		if err != nil {
			return err
		}
		describe(w.Header(), desc)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	offset, length := openRange(r.Header)
	b, err := h.o.Origin.Blob(ctx, q.repo, dgst, offset, length)
	if err != nil {
		return err
	}
	describe(w.Header(), ocispec.Descriptor{MediaType: b.MediaType, Digest: dgst, Size: b.Size})
	if b.Size < 0 {
		pourVerified(w, b, dgst)
		return nil
	}
	d := &delivery{h: h, q: q, w: w, part: part{0, b.Size, b.Size}, header: w.Header().Clone()}
	if partial := b.Offset == offset && (offset > 0 || length > 0); partial {
		d.part = describePart(w, offset, length, b.Size)
	} else {
		d.w = &verifier{ResponseWriter: w, hash: dgst.Algorithm().Hash(), want: dgst, left: b.Size}
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w).Flush() // a connection that is broken shows in what follows
	d.run(ctx, source{body: b.Body, doubt: b.Doubt})
	return nil
}

// describePart writes the head of an answer that is a part.
func describePart(w http.ResponseWriter, offset, length, size int64) part {
	p := part{offset, size, size}
	if length > 0 {
		p.end = min(offset+length, size)
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", p.first, p.end-1, p.size))
	w.Header().Set("Content-Length", strconv.FormatInt(p.end-p.first, 10))
	w.WriteHeader(http.StatusPartialContent)
	return p
}

// verifier passes a whole body on, but its end only if the digest is right (B4).
type verifier struct {
	http.ResponseWriter
	hash hash.Hash
	want digest.Digest
	left int64 // bytes that are still to come
}

func (v *verifier) Write(p []byte) (int, error) {
	v.hash.Write(p)
	if v.left -= int64(len(p)); v.left == 0 && digest.NewDigest(v.want.Algorithm(), v.hash) != v.want {
		return 0, errMismatch
	}
	return v.ResponseWriter.Write(p)
}

var errMismatch = errors.New("the origin's bytes have another digest")

// pourVerified sends a blob whose length the origin does not tell: a client takes it for finished only if the digest is right.
func pourVerified(w http.ResponseWriter, b *upstream.Blob, want digest.Digest) {
	defer b.Body.Close()
	sum := want.Algorithm().Hash()
	_, err := io.Copy(w, io.TeeReader(b.Body, sum))
	if err != nil || digest.NewDigest(want.Algorithm(), sum) != want {
		panic(http.ErrAbortHandler)
	}
}

// resumeAtOrigin opens the rest of a blob at its origin.
func (h *Handler) resumeAtOrigin(ctx context.Context, q *request, p part) source {
	dgst, err := imageref.ParseDigest(q.Reference)
	if err != nil || h.o.Origin == nil || !q.named || q.Endpoint != ocipath.Blob {
		return source{}
	}
	b, err := h.o.Origin.Blob(ctx, q.repo, dgst, p.first, p.end-p.first)
	if err != nil {
		return source{}
	}
	h.o.Metrics.Fallbacks.WithLabelValues(q.Endpoint.String()).Inc()
	if _, err := io.CopyN(io.Discard, b.Body, p.first-b.Offset); err != nil || b.Size >= 0 && b.Size != p.size {
		_ = b.Body.Close()
		return source{}
	}
	return source{body: b.Body, doubt: b.Doubt}
}

// openRange reads a Range of the forms "bytes=5-" and "bytes=5-9"; any other asks for the whole, as RFC 9110 lets a server do.
func openRange(header http.Header) (offset, length int64) {
	spec, ok := strings.CutPrefix(header.Get("Range"), "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || !dash || err != nil || first < 0 || header.Get("If-Range") != "" {
		return 0, -1
	}
	if to == "" {
		return first, -1
	}
	last, err := strconv.ParseInt(to, 10, 64)
	if err != nil || last < first || last-first == math.MaxInt64 {
		return 0, -1
	}
	return first, last - first + 1
}

func describe(header http.Header, desc ocispec.Descriptor) {
	mediaType := desc.MediaType
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	header.Set("Content-Type", mediaType)
	header.Set("Accept-Ranges", "bytes")
	header.Set(contentDigest, desc.Digest.String())
	header.Set("Etag", `"`+desc.Digest.String()+`"`)
	if desc.Size >= 0 {
		header.Set("Content-Length", strconv.FormatInt(desc.Size, 10))
	}
}

func writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	write(w, r, mediaType, body)
	return nil
}

// write answers with content that lies in memory.
func write(w http.ResponseWriter, r *http.Request, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}
}

// refuse answers with an error of the distribution spec.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	httpx.RecordOf(w).Error = message
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		return
	}
	httpx.WriteError(w, status, code, message, nil)
}

// refuseFor answers with a failure of the origin (T9), or of the request.
func refuseFor(w http.ResponseWriter, q *request, err error, unknown string) {
	code, wire := codeUnavailable, http.StatusBadGateway
	if errors.Is(err, errDigest) {
		code, wire = codeDigestInvalid, http.StatusBadRequest
	}
	if up, ok := errors.AsType[*upstream.Error](err); ok {
		code, wire = up.Answer(unknown)
		if up.Reason == upstream.RateLimited {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(up.RetryAfter.Seconds())))))
		}
	}
	refuse(w, q.client, status(q, wire), code, err.Error())
}

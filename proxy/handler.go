// Package proxy is the OCI face of the cache: it serves the pull and content discovery parts of the distribution spec v1.1
// to container runtimes. It speaks HTTP and decides nothing: what to answer is package cache's to say. It never takes a
// push, never asks for credentials, and knows no Kubernetes.
package proxy

import (
	"context"
	"net/http"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Options configure a Handler.
type Options struct {
	// Self returns the host:port pairs under which clients reach this process, in lower case: an ns that names one of
	// them means path form. The request's own Host header always counts. May be nil; it is called for every request that
	// carries an ns.
	Self func() []string
	// Redirect has clients get stored blobs from object storage by themselves, where that hands out addresses.
	Redirect bool
	// Log is told of errors that have no place in the distribution spec.
	Log logr.Logger
}

// Handler answers everything under /v2/; whatever lies outside is 404. It must see the path as the client sent it: an
// http.ServeMux in front of it redirects instead of refusing "//" and "..".
type Handler struct {
	names names
	blobs blobs
	self  func() []string
	log   logr.Logger

	redirect bool
}

// New returns the handler that serves from c.
func New(c *cache.Cache, o Options) *Handler { return newHandler(c, adapter{c}, o) }

func newHandler(n names, b blobs, o Options) *Handler {
	if o.Self == nil {
		o.Self = func() []string { return nil }
	}
	return &Handler{names: n, blobs: b, self: o.Self, log: o.Log, redirect: o.Redirect}
}

// names is the part of the cache that knows manifests and what names them.
type names interface {
	ResolveManifest(ctx context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, cache.Outcome, error)
	Manifest(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) ([]byte, error)
	Tags(ctx context.Context, repo imageref.Repository) ([]string, cache.Outcome, error)
	Referrers(ctx context.Context, repo imageref.Repository, dgst digest.Digest) ([]ocispec.Descriptor, cache.Outcome, error)
}

// blobs is the part of the cache that knows blobs.
type blobs interface {
	ResolveBlob(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, cache.Outcome, error)
	// BlobURL returns where a client may get a stored blob by itself; empty where it may not.
	BlobURL(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, string)
	// open opens a blob; with cache.ErrRange the part tells the blob's size and has no body.
	open(ctx context.Context, repo imageref.Repository, dgst digest.Digest, rng fetch.Range) (part, cache.Outcome, error)
}

// request is one request, understood.
type request struct {
	route
	query string
	ns    string // as the client gave it; empty where it gave none
	repo  imageref.Repository
}

// maxLogged is how much of a reference, or of an error, the access log gets: more than any valid reference has.
const maxLogged = 256

// Shared header values: nothing may write into these slices.
var (
	noSniff    = []string{"nosniff"}
	apiVersion = []string{"registry/2.0"}
	inBytes    = []string{"bytes"}
	inJSON     = []string{"application/json"}
	inIndex    = []string{ocispec.MediaTypeImageIndex}
	allowed    = []string{"GET, HEAD"}
)

// ServeHTTP answers one request. It panics with http.ErrAbortHandler where a body cannot be finished, so that the client sees
// a broken connection instead of a short blob.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Content-Type-Options"] = noSniff
	header["Docker-Distribution-Api-Version"] = apiVersion
	if err := h.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	rt := parseRoute(r.URL)
	record := httpx.RecordOf(w)
	record.Kind = rt.endpoint.String()
	switch {
	case rt.endpoint == outside:
		return errOutside
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refuseMethod(w, rt)
	case rt.endpoint == unknown:
		return refuseUnknown(r.URL)
	case rt.endpoint == base:
		return serveBase(w, r)
	}
	record.Reference = rt.reference[:min(len(rt.reference), maxLogged)]
	req := request{route: rt, query: r.URL.RawQuery}
	req.ns, _ = queryValue(req.query, "ns")
	if err := h.locate(r, &req); err != nil {
		return err
	}
	record.Repository = req.repo.String()
	if req.ns == "" {
		return h.answer(w, r, &req)
	}
	w.Header()["Oci-Namespace"] = []string{req.ns}
	return forMirror(h.answer(w, r, &req))
}

// refuseMethod tells first of a manifest that no method could name: the spec's conformance suite puts one under a malformed
// digest, and wants 400.
func refuseMethod(w http.ResponseWriter, rt route) error {
	if rt.endpoint == manifest {
		if err := checkReference(rt.reference); err != nil {
			return err
		}
	}
	w.Header()["Allow"] = allowed
	return errMethod
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, req *request) error {
	switch req.endpoint {
	case manifest:
		return h.serveManifest(w, r, req)
	case blob:
		return h.serveBlob(w, r, req)
	case tags:
		return h.serveTags(w, r, req)
	default:
		return h.serveReferrers(w, r, req)
	}
}

func serveBase(w http.ResponseWriter, r *http.Request) error {
	body := []byte("{}")
	c := content{mediaType: inJSON, size: int64(len(body))}
	if !settled(w, r, c) {
		writeBody(w, r, c, body)
	}
	return nil
}

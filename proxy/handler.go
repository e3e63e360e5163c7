// Package proxy is the OCI face of the cache: it serves the pull and content discovery parts of the distribution spec v1.1
// to container runtimes. It speaks HTTP and decides nothing: what to answer is package cache's to say. It never takes a
// push, never asks for credentials, and knows no Kubernetes.
package proxy

import (
	"context"
	"net/http"
	"net/url"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/ocipath"
	"github.com/larder-dev/larder/internal/token"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Options configure a Handler.
type Options struct {
	// Self returns the host:port pairs under which clients reach this process, in lower case: an ns that names one of
	// them means path form. The request's own Host header always counts. May be nil; it is called for every request that
	// carries an ns.
	Self func() []string
	// Holds says whether a bearer token may pull at all; what has none that it accepts is answered 401. nil: nobody needs one.
	Holds func(token string) bool
	// Admit says whether a request may be answered (A1), whatever of a repository it asks for and whether or not that is stored; a
	// *grant.Refusal says why not. nil: every one may.
	Admit func(ctx context.Context, r grant.Request) error
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
	holds func(string) bool
	admit func(context.Context, grant.Request) error
	log   logr.Logger

	redirect bool
}

// New returns the handler that serves from c.
func New(c *cache.Cache, o Options) *Handler { return newHandler(c, adapter{c}, o) }

func newHandler(n names, b blobs, o Options) *Handler {
	if o.Self == nil {
		o.Self = func() []string { return nil }
	}
	return &Handler{names: n, blobs: b, self: o.Self, holds: o.Holds, admit: o.Admit, log: o.Log, redirect: o.Redirect}
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
	ocipath.Route
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
	inBearer   = []string{`Bearer realm="larder"`}
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
	rt := ocipath.Parse(r.URL)
	record := httpx.RecordOf(w)
	record.Kind = rt.Endpoint.String()
	switch {
	case rt.Endpoint == ocipath.Outside:
		return errOutside
	case !h.admits(r):
		w.Header()["Www-Authenticate"] = inBearer
		return errToken
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refuseMethod(w, rt)
	case rt.Endpoint == ocipath.Unknown:
		return refuseUnknown(r.URL)
	case rt.Endpoint == ocipath.Base:
		return serveBase(w, r)
	}
	record.Reference = rt.Reference[:min(len(rt.Reference), maxLogged)]
	req := request{Route: rt, query: r.URL.RawQuery}
	req.ns, _ = ocipath.QueryValue(req.query, "ns")
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

// admits says whether a request comes from somebody who may ask at all.
func (h *Handler) admits(r *http.Request) bool {
	return h.holds == nil || h.holds(token.Bearer(r))
}

// refuseMethod tells first of a manifest that no method could name: the spec's conformance suite puts one under a malformed
// digest, and wants 400.
func refuseMethod(w http.ResponseWriter, rt ocipath.Route) error {
	if rt.Endpoint == ocipath.Manifest {
		if err := checkReference(rt.Reference); err != nil {
			return err
		}
	}
	w.Header()["Allow"] = allowed
	return errMethod
}

// refuseUnknown tells a malformed path from one that has no meaning here.
func refuseUnknown(u *url.URL) error {
	if ocipath.Malformed(u) {
		return errPath
	}
	return errEndpoint
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, req *request) error {
	if h.admit != nil {
		if err := h.admit(r.Context(), asked(r, req)); err != nil {
			return refused(req, err)
		}
	}
	switch req.Endpoint {
	case ocipath.Manifest:
		return h.serveManifest(w, r, req)
	case ocipath.Blob:
		return h.serveBlob(w, r, req)
	case ocipath.Tags:
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

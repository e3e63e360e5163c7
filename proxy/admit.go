package proxy

import (
	"errors"
	"net/http"
	"strings"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/ocipath"
)

// headerNode is where larder-proxy says which node it serves.
const headerNode = "Larder-Node"

// asked is what a request asks for, and for which node. A reference that is none is left out: what answers it refuses it.
func asked(r *http.Request, req *request) grant.Request {
	a := grant.Request{Repo: req.repo}
	if node := r.Header[headerNode]; len(node) == 1 {
		a.Node = node[0]
	}
	switch {
	case strings.Contains(req.Reference, ":"):
		dgst, err := imageref.ParseDigest(req.Reference)
		switch {
		case err != nil:
		case req.Endpoint == ocipath.Blob:
			a.Probe.Blob = dgst
		default:
			a.Probe.Reference = req.Reference
		}
	case req.Endpoint == ocipath.Manifest && imageref.ValidTag(req.Reference):
		a.Probe.Reference = req.Reference
	}
	return a
}

// refused is the answer to a request that is not admitted: 404 where the origin says to all who ask here that there is no such image, as
// it would to them; else 403.
func refused(req *request, err error) error {
	var refusal *grant.Refusal
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Reason != grant.NotFound:
		return &cache.Error{Code: cache.CodeDenied, Status: http.StatusForbidden, Err: err}
	}
	code := cache.CodeManifestUnknown
	switch req.Endpoint {
	case ocipath.Blob:
		code = cache.CodeBlobUnknown
	case ocipath.Tags:
		code = cache.CodeNameUnknown
	}
	return &cache.Error{Code: code, Status: http.StatusNotFound, Err: err}
}

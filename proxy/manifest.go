package proxy

import (
	"net/http"
	"strings"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// serveManifest answers a manifest as the origin has it, whatever the client would accept.
func (h *Handler) serveManifest(w http.ResponseWriter, r *http.Request, req *request) error {
	if err := checkReference(req.Reference); err != nil {
		return err
	}
	desc, outcome, err := h.names.ResolveManifest(r.Context(), req.repo, req.Reference)
	tell(w, outcome)
	if err != nil {
		return err
	}
	c := addressed(desc.MediaType, desc.Digest, desc.Size)
	if settled(w, r, c) {
		return nil
	}
	body, err := h.names.Manifest(r.Context(), req.repo, desc)
	if err != nil {
		return err
	}
	c.size = int64(len(body))
	writeBody(w, r, c, body)
	return nil
}

// checkReference refuses what is neither a tag nor a digest. A malformed tag is a tag that does not exist: the conformance tests
// ask for ".INVALID_MANIFEST_NAME" and want 404.
func checkReference(reference string) error {
	if strings.Contains(reference, ":") {
		_, err := checkDigest(reference)
		return err
	}
	if !imageref.ValidTag(reference) {
		return refusal(http.StatusNotFound, cache.CodeManifestUnknown, "%q is neither a tag nor a digest", reference)
	}
	return nil
}

func checkDigest(s string) (digest.Digest, error) {
	dgst, err := imageref.ParseDigest(s)
	if err != nil {
		return "", &cache.Error{Code: codeDigestInvalid, Status: http.StatusBadRequest, Err: err}
	}
	return dgst, nil
}

package origin

import (
	"net/http"
	"regexp"
)

var cdnPath = regexp.MustCompile(`^/cdn/(.+)/([^/]+)$`)

// redirectToCDN is the registry's answer to a GET of a blob, as those of large registries: a signed URL elsewhere.
func (o *Origin) redirectToCDN(w http.ResponseWriter, req *Request) {
	w.Header().Set("Location", o.cdn.url()+"/cdn/"+req.Repository+"/"+req.Reference+"?signature=valid")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func classifyCDN(r *http.Request) *Request {
	req := newRequest(r, KindCDN)
	if m := cdnPath.FindStringSubmatch(r.URL.Path); m != nil {
		req.Repository, req.Reference = m[1], m[2]
	}
	return req
}

// serveCDN serves blobs to whoever holds a signed URL, and complains of credentials: the store behind a real CDN refuses a
// request that brings them, and its owner has no business with them.
func (o *Origin) serveCDN(w http.ResponseWriter, r *http.Request, req *Request) {
	if r.Header.Get("Authorization") != "" {
		o.complain("credentials were sent to the CDN: %s %s", r.Method, r.URL.Path)
		writeError(w, http.StatusBadRequest, "INVALID", "only one way of authentication is allowed")
		return
	}
	if req.Reference == "" || r.URL.Query().Get("signature") != "valid" {
		writeError(w, http.StatusForbidden, "DENIED", "the signature is not valid")
		return
	}
	stored := r.Clone(r.Context())
	stored.URL.Path, stored.URL.RawQuery = "/v2/"+req.Repository+"/blobs/"+req.Reference, ""
	stored.RequestURI = stored.URL.Path
	w.Header().Set("Cache-Control", "max-age=3600")
	o.registry.ServeHTTP(w, stored)
}

package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
)

// locate finds out which repository of which origin a request means, by either of the two namings.
func (h *Handler) locate(r *http.Request, req *request) error {
	ns := strings.ToLower(req.ns)
	var err error
	switch {
	case ns == "" || h.isSelf(r, ns):
		req.repo, err = imageref.ParsePath(req.Name)
	case isLoopback(ns):
		return refusal(http.StatusNotFound, codeNameUnknown, "ns %q is a registry on the client's own machine, not an origin", req.ns)
	default:
		req.repo, err = imageref.ParseMirror(req.ns, req.Name)
	}
	if err != nil {
		return &cache.Error{Code: codeNameInvalid, Status: http.StatusBadRequest, Err: err}
	}
	return nil
}

func (h *Handler) isSelf(r *http.Request, ns string) bool {
	return strings.EqualFold(ns, r.Host) || slices.Contains(h.self(), ns)
}

// isLoopback says whether host, with or without a port, is the machine that asks or the one that answers.
func isLoopback(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	if bracketed, ok := strings.CutPrefix(host, "["); ok {
		name, _, _ = strings.Cut(bracketed, "]")
	}
	name = strings.TrimSuffix(name, ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && (addr.IsLoopback() || addr.Unmap().IsUnspecified())
}

// forMirror changes an answer that would make containerd retry here into one that makes it go on to the origin.
func forMirror(err error) error {
	e := asError(err)
	if e == nil {
		return err
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		next := *e
		next.Status = http.StatusServiceUnavailable
		return &next
	}
	return err
}

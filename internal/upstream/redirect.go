package upstream

import (
	"io"
	"net/http"
	"net/url"
)

const maxRedirects = 10

// follow sends a request and what the answers redirect it to. Headers go along (Range among them), except that the
// credentials stay with the host they were given to.
func (l *link) follow(req *http.Request) (*http.Response, error) {
	for range maxRedirects + 1 {
		if err := l.guard.checkURL(req.URL); err != nil {
			return nil, transportFault(req, err)
		}
		resp, err := l.transport.RoundTrip(req)
		if err != nil {
			return nil, transportFault(req, err)
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		drain(resp)
		if req, err = redirected(req, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
	return nil, fault(Invalid, "%s: more than %d redirects", describe(req), maxRedirects)
}

// isRedirect says whether to go on elsewhere. A body is never sent a second time.
func isRedirect(resp *http.Response) bool {
	if m := resp.Request.Method; m != http.MethodGet && m != http.MethodHead {
		return false
	}
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

func redirected(req *http.Request, location string) (*http.Request, error) {
	target, err := url.Parse(location)
	if err != nil || location == "" {
		return nil, fault(Invalid, "%s: a redirect to no usable URL", describe(req))
	}
	target = req.URL.ResolveReference(target)
	target.User = nil
	if target.Scheme != "https" && target.Scheme != "http" || target.Host == "" {
		return nil, fault(Invalid, "%s: a redirect to no usable URL", describe(req))
	}
	if req.URL.Scheme == "https" && target.Scheme == "http" {
		return nil, fault(Refused, "%s: %w", describe(req), &refusal{bareURL(target), "it is a redirect from https to http"})
	}
	next := req.Clone(req.Context())
	if !sameOrigin(req.URL, target) {
		next.Header.Del("Authorization")
	}
	next.URL, next.Host = target, target.Host
	return next, nil
}

// drain reads what little an answer has left, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	_ = resp.Body.Close()
}

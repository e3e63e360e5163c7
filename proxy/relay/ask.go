package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/larder-dev/larder/internal/ocipath"
)

// answer is what a replica said; its body is open.
type answer struct {
	*http.Response
	from *replica
}

func (a *answer) close() { _ = a.Body.Close() }

// ask asks the replicas in turn, first the one that owns the repository, and returns the first answer; nil where there is none.
func (h *Handler) ask(ctx context.Context, q *request, header http.Header) *answer {
	h.o.Replicas.Await(ctx)
	ranked := h.o.Replicas.ranked(q.key(), time.Now())
	if len(ranked) == 0 {
		h.o.Replicas.LookAgain()
	}
	for _, replica := range ranked {
		a, outcome := h.try(ctx, replica, q, header)
		if ctx.Err() != nil {
			if a != nil {
				a.close()
			}
			return nil
		}
		h.o.Metrics.Attempts.WithLabelValues(outcome).Inc()
		if a != nil {
			replica.worked()
			return a
		}
		h.avoid(replica, outcome)
	}
	return nil
}

// avoid has a replica come last for a while.
func (h *Handler) avoid(replica *replica, why string) {
	now := time.Now()
	if !replica.avoided(now) { // else it was told a moment ago
		h.o.Log.Info("a replica of the registry failed", "replica", replica.address, "reason", why)
	}
	replica.failed(now)
	h.o.Replicas.LookAgain()
}

// try asks one replica. Where it gives no answer that is for the client, the outcome says why.
func (h *Handler) try(ctx context.Context, replica *replica, q *request, header http.Header) (a *answer, outcome string) {
	resp, err := h.show(ctx, replica, q, header)
	if err == nil && isRedirect(resp) && q.Endpoint == ocipath.Blob && resp.Request.Method == http.MethodGet {
		resp, err = h.follow(ctx, resp, header)
		if err != nil {
			return nil, "broken"
		}
	}
	switch {
	case err != nil:
		return nil, unreachable(err)
	case resp.StatusCode == http.StatusUnauthorized: // the proxy's own token: no client can help that
		outcome = "refused"
	case goingDown(resp):
		outcome = "unavailable"
	default:
		return &answer{resp, replica}, "answered"
	}
	_ = resp.Body.Close()
	return nil, outcome
}

// unreachable tells one that answers as somebody else from one that does not answer.
func unreachable(err error) (outcome string) {
	if _, stranger := errors.AsType[*tls.CertificateVerificationError](err); stranger {
		return "untrusted"
	}
	return "unreachable"
}

// show sends a request with the token, and with the others of its file while the replica refuses them: while a token is replaced, a
// replica may know the new one alone, or the old one.
func (h *Handler) show(ctx context.Context, replica *replica, q *request, header http.Header) (*http.Response, error) {
	if h.o.Token == nil {
		return h.send(ctx, replica, q, header, "")
	}
	first := h.o.Token.First()
	resp, err := h.send(ctx, replica, q, header, first)
	if !refused(resp, err) {
		return resp, err
	}
	for _, other := range h.o.Token.Others(first) {
		_ = resp.Body.Close()
		if resp, err = h.send(ctx, replica, q, header, other); !refused(resp, err) {
			break
		}
	}
	return resp, err
}

func refused(resp *http.Response, err error) bool {
	return err == nil && resp.StatusCode == http.StatusUnauthorized
}

// goingDown tells a replica that fails from one that says that the origin does. The registry's own answers carry its API version;
// what has none comes from something before a registry that is gone. Of its own, a 503 that names no time to wait says that it is
// shutting down.
func goingDown(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return resp.Header.Get(apiVersion) == ""
	case http.StatusServiceUnavailable:
		return resp.Header.Get(apiVersion) == "" || resp.Header.Get("Retry-After") == ""
	}
	return false
}

const apiVersion = "Docker-Distribution-Api-Version"

func (h *Handler) send(ctx context.Context, replica *replica, q *request, header http.Header, token string) (*http.Response, error) {
	header = header.Clone()
	if token != "" {
		header["Authorization"] = []string{"Bearer " + token}
	}
	if h.o.Node != "" {
		header["Larder-Node"] = []string{h.o.Node}
	}
	target := *q.client.URL
	target.Scheme, target.Host = "http", replica.address
	if h.o.Trust != nil {
		target.Scheme = "https"
	}
	req := &http.Request{Method: q.client.Method, URL: &target, Host: q.client.Host, Header: header}
	return h.replica.roundTrip(ctx, replica.address, req)
}

const maxRedirects = 5

var errRedirects = errors.New("too many redirects")

// follow goes where the registry sends a client for a blob, without anything that is secret. What describes the blob stays what the
// registry said of it.
func (h *Handler) follow(ctx context.Context, resp *http.Response, asked http.Header) (*http.Response, error) {
	registry := resp.Header
	at := resp.Request.URL
	for range maxRedirects {
		_ = resp.Body.Close()
		target, err := at.Parse(resp.Header.Get("Location"))
		if err != nil {
			return nil, err
		}
		at = target
		if resp, err = h.fetch(ctx, target, asked); err != nil {
			return nil, err
		}
		if !isRedirect(resp) {
			return described(resp, registry)
		}
	}
	_ = resp.Body.Close()
	return nil, errRedirects
}

func (h *Handler) fetch(ctx context.Context, target *url.URL, asked http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if values := asked["Range"]; len(values) > 0 {
		req.Header["Range"] = values
	}
	return h.storage.RoundTrip(req)
}

var errStorage = errors.New("the object storage gave no blob")

// described puts what the registry says of a blob over what its storage says.
func described(resp *http.Response, registry http.Header) (*http.Response, error) {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
	default:
		_ = resp.Body.Close()
		return nil, errStorage
	}
	header := registry.Clone()
	for _, name := range []string{"Location", "Content-Length", "Content-Type"} {
		header.Del(name)
	}
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Type"} {
		if values := resp.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	header.Set("Accept-Ranges", "bytes")
	resp.Header = header
	return resp, nil
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

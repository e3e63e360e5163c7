package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/httpx"
)

// The codes that only the wire has, beside those of package cache.
const (
	codeDigestInvalid     cache.Code = "DIGEST_INVALID"
	codeNameInvalid       cache.Code = "NAME_INVALID"
	codeNameUnknown                  = cache.CodeNameUnknown
	codePaginationInvalid cache.Code = "PAGINATION_NUMBER_INVALID"
	codeRangeInvalid      cache.Code = "RANGE_INVALID"
	codeUnauthorized      cache.Code = "UNAUTHORIZED"
	codeUnknown           cache.Code = "UNKNOWN"
	codeUnsupported       cache.Code = "UNSUPPORTED"
)

// statusClientClosed is what the access log shows for a client that hung up before there was an answer.
const statusClientClosed = 499

var (
	errOutside = refusal(http.StatusNotFound, codeUnsupported, "no such page: the registry API lies under /v2/")
	// Of Larder's own parts, not of container runtimes, which ask larder-proxy: so it is 401 to an ns request too.
	errToken    = refusal(http.StatusUnauthorized, codeUnauthorized, "this registry answers larder-proxy alone: the request has no token that it accepts")
	errEndpoint = refusal(http.StatusNotFound, codeUnsupported, "no such endpoint: Larder serves manifests, blobs, tags/list and referrers")
	errMethod   = refusal(http.StatusMethodNotAllowed, codeUnsupported, "Larder is a read-only cache: push to the origin instead")
	errPath     = refusal(http.StatusBadRequest, codeNameInvalid, "the path has an empty, dot or encoded-slash component")
)

func refusal(status int, code cache.Code, format string, args ...any) *cache.Error {
	return &cache.Error{Code: code, Status: status, Err: fmt.Errorf(format, args...)}
}

func asError(err error) *cache.Error {
	var e *cache.Error
	errors.As(err, &e)
	return e
}

// refuse writes the answer that is not the content.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		w.WriteHeader(statusClientClosed)
		return
	}
	e := h.wireError(err)
	why := e.Error()
	httpx.RecordOf(w).Error = why[:min(len(why), maxLogged)]
	if seconds := retryAfter(e); seconds > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if r.Method == http.MethodHead { // only GET would find out what it has to say, and how long that is
		w.Header()["Content-Type"] = inJSON
		w.WriteHeader(e.Status)
		return
	}
	httpx.WriteError(w, e.Status, string(e.Code), e.Error(), nil)
}

// wireError finds the answer for any error.
func (h *Handler) wireError(err error) *cache.Error {
	e := asError(err)
	switch {
	case e != nil && e.Code == cache.CodeDenied:
		return &cache.Error{Code: e.Code, Status: http.StatusForbidden, Err: e}
	case e != nil:
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return refusal(http.StatusGatewayTimeout, cache.CodeUnavailable, "the origin did not answer in time")
	case errors.Is(err, context.Canceled):
		return refusal(http.StatusServiceUnavailable, cache.CodeUnavailable, "Larder is shutting down")
	}
	h.log.Error(err, "request failed unexpectedly")
	return refusal(http.StatusInternalServerError, codeUnknown, "internal error: Larder's log says more")
}

// retryAfter is the number of seconds that a client should wait, 0 for no advice.
func retryAfter(e *cache.Error) int64 {
	if e.RetryAfter <= 0 && e.Code != cache.CodeTooManyRequests {
		return 0
	}
	return max(1, int64(math.Ceil(float64(e.RetryAfter)/float64(time.Second))))
}

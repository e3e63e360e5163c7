package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Reason classifies what went wrong at an origin.
type Reason string

// The reasons.
const (
	Unreachable Reason = "unreachable"  // no connection, a broken one, a timeout, or a 5xx
	RateLimited Reason = "rate_limited" // 429
	Denied      Reason = "denied"       // 401, 403, from the registry or its token server
	NotFound    Reason = "not_found"    // 404
	Invalid     Reason = "invalid"      // an answer that breaks the protocol: wrong digest, too large, garbage
	Refused     Reason = "refused"      // Larder itself refuses to connect there (Trust: link-local, loopback, itself, not allowed)
)

// Error is what every method of Client returns for a request that an origin did not fulfil.
type Error struct {
	Reason     Reason
	Host       string        // the origin's host as in references
	Status     int           // the origin's HTTP status; 0 where there was none
	RetryAfter time.Duration // with RateLimited, where the origin said it; else 0
	Credential string        // names the credential that was used without revealing it ("anonymous", or a short hash)
	// CredentialSet names all credentials that came into question, with Denied: none of them was accepted.
	CredentialSet string
	Timeout       bool  // the origin did not answer in time
	Err           error // what happened, without credentials and query strings

	elsewhere bool // the answer came from a host that the origin redirected to
	ofToken   bool // a token service did not like what it was asked with
}

// Error says what happened, where.
func (e *Error) Error() string { return fmt.Sprintf("origin %s: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The codes of the distribution spec that tell of an origin's failure.
const (
	CodeDenied          = "DENIED"
	CodeTooManyRequests = "TOOMANYREQUESTS"
	CodeUnavailable     = "UNAVAILABLE" // the spec has none for this
)

// Answer is what a client is told of the failure, by code and HTTP status (T9). unknown is the code for what the origin does not have.
func (e *Error) Answer(unknown string) (code string, status int) {
	switch e.Reason {
	case NotFound:
		return unknown, http.StatusNotFound
	case Denied, Refused:
		return CodeDenied, http.StatusForbidden
	case RateLimited:
		return CodeTooManyRequests, http.StatusTooManyRequests
	}
	if e.Timeout {
		return CodeUnavailable, http.StatusGatewayTimeout
	}
	return CodeUnavailable, http.StatusBadGateway
}

// fault makes an Error of a reason; attempt.explain completes it with host and credential.
func fault(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// transportFault classifies the error of a request that got no complete answer.
func transportFault(req *http.Request, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return fault(Refused, "%s: %w", describe(req), refused)
	}
	e := fault(Unreachable, "%s: %w", describe(req), bare(err))
	e.Timeout = isTimeout(err)
	return e
}

// bodyFault classifies the error of reading an answer's body.
func bodyFault(resp *http.Response, err error) *Error {
	e := transportFault(resp.Request, err)
	e.Status = resp.StatusCode
	return e
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// bare strips the URL that net/http puts around an error: its query may hold a signature.
func bare(err error) error {
	var urlErr *url.Error
	for errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	return err
}

// statusFault turns an answer that is not what was asked for into an Error. It reads the beginning of the body.
func statusFault(resp *http.Response) *Error {
	e := fault(reasonOf(resp.StatusCode), "%s: %d %s%s", describe(resp.Request), resp.StatusCode,
		http.StatusText(resp.StatusCode), originMessage(resp.Body))
	e.Status = resp.StatusCode
	if e.Reason == RateLimited {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

func reasonOf(status int) Reason {
	switch {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Denied
	case status == http.StatusNotFound:
		return NotFound
	case status >= 500, status == http.StatusRequestTimeout:
		return Unreachable
	default:
		return Invalid
	}
}

// maxRetryAfter keeps an absurd Retry-After from overflowing; callers cap it much lower.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header's two forms (RFC 9110, 10.2.3): seconds, or a date. Anything else is 0.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

const (
	maxErrorBody    = 16 << 10
	maxErrorMessage = 200
)

var queryString = regexp.MustCompile(`\?\S+`)

// originMessage returns the first error of an OCI error body as ": CODE: message", or nothing.
func originMessage(body io.Reader) string {
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	content, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err != nil || json.Unmarshal(content, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	return ": " + printable(answer.Errors[0].Code+": "+answer.Errors[0].Message)
}

// printable makes a stranger's text fit for a log line.
func printable(s string) string {
	s = queryString.ReplaceAllString(s, "?...")
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if len(s) <= maxErrorMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorMessage], "")
}

// describe names a request in an error: never its query, which may be a signature.
func describe(req *http.Request) string {
	return req.Method + " " + bareURL(req.URL)
}

func bareURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

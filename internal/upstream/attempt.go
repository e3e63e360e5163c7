package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	patienceForOne  = 5 * time.Second  // how long one endpoint may take to answer while others wait behind it
	documentTimeout = 30 * time.Second // for one manifest or page, body included
)

var errPatience = fmt.Errorf("no answer within %s: %w", patienceForOne, os.ErrDeadlineExceeded)

// attempt is one operation at one endpoint.
type attempt struct {
	client     *Client
	origin     *origin
	endpoint   *endpoint
	repo       imageref.Repository
	credential *credential
	patience   time.Duration // for the headers of each answer; 0: the transport's
	proved     bool          // the endpoint gave a manifest or a blob: see Proof
}

// explain completes an error with where it happened and with which credential.
func (a *attempt) explain(err error) *Error {
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Reason: Unreachable, Timeout: isTimeout(err), Err: bare(err)}
	}
	e := *known // a token's failure is shared by all who waited for it
	e.Host, e.Credential = a.repo.Host, a.credential.name
	return &e
}

// note keeps whether the endpoint is up, and logs where that changed.
func (a *attempt) note(ctx context.Context, e *Error) {
	log := a.client.log.WithValues("origin", a.repo.Host, "endpoint", a.endpoint.base.String())
	unreachable := e != nil && e.Status == 0 && e.Reason == Unreachable
	switch {
	case unreachable && errors.Is(ctx.Err(), context.Canceled):
	case unreachable:
		if a.endpoint.wentDown(time.Now()) {
			log.Error(e.Err, "origin endpoint is down")
		}
	case e == nil || e.Status != 0:
		if a.endpoint.wentUp() {
			log.Info("origin endpoint is up again")
		}
	}
}

// call is a request as the operations word it.
type call struct {
	kind   string // of the metrics
	method string
	url    *url.URL
	header http.Header
}

// path returns the URL of a path in the repository.
func (a *attempt) path(path string, query url.Values) *url.URL {
	return a.endpoint.url(a.repo.Path+"/"+path, query)
}

// send makes a call and returns the origin's answer, whatever its status. The answer's body ends with ctx.
func (a *attempt) send(ctx context.Context, c call) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	inTime := func() bool { return true }
	if a.patience > 0 {
		inTime = time.AfterFunc(a.patience, func() { cancel(errPatience) }).Stop
	}
	resp, err := a.authorized(ctx, c)
	if stopped := inTime(); err == nil && !stopped {
		_ = resp.Body.Close()
		err = transportFault(resp.Request, errPatience)
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &cancelingBody{ReadCloser: resp.Body, cancel: cancel}
	return resp, nil
}

// cancelingBody frees its request's context when it is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// roundTrip makes a call with an Authorization header, or none, and counts it.
func (a *attempt) roundTrip(ctx context.Context, c call, authorization string) (*http.Response, error) {
	req := (&http.Request{Method: c.method, URL: c.url, Host: c.url.Host, Header: http.Header{}}).WithContext(ctx)
	if c.header != nil {
		req.Header = c.header.Clone()
	}
	req.Header.Set("Accept-Encoding", "identity")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return a.count(c.kind, req)
}

// count sends a request, follows redirects, and counts the outcome.
func (a *attempt) count(kind string, req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", a.client.userAgent)
	started := time.Now()
	resp, err := a.endpoint.link.follow(req)
	code := "error"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
		a.client.metrics.OriginDuration.WithLabelValues(a.repo.Host, kind).Observe(time.Since(started).Seconds())
	}
	a.client.metrics.OriginRequests.WithLabelValues(a.repo.Host, kind, code).Inc()
	return resp, err
}

// expect checks that an answer has one of the statuses, and its body as it is; else it closes the body.
func (a *attempt) expect(resp *http.Response, statuses ...int) error {
	if slices.Contains(statuses, resp.StatusCode) {
		return a.unencoded(resp)
	}
	e := statusFault(resp)
	e.elsewhere = !sameOrigin(resp.Request.URL, a.endpoint.base)
	_ = resp.Body.Close()
	return e
}

func (a *attempt) unencoded(resp *http.Response) error {
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return nil
	default:
		_ = resp.Body.Close()
		return a.broken(resp, "a Content-Encoding that was not asked for: %q", printable(encoding))
	}
}

// broken is the error of an answer that breaks the protocol.
func (a *attempt) broken(resp *http.Response, format string, args ...any) *Error {
	e := fault(Invalid, "%s: "+format, append([]any{describe(resp.Request)}, args...)...)
	e.Status = resp.StatusCode
	return e
}

// document gets a whole body of at most limit bytes.
func (a *attempt) document(ctx context.Context, c call, limit int64) ([]byte, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	resp, err := a.send(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if err := a.expect(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	if resp.ContentLength > limit {
		return nil, nil, a.broken(resp, "%d bytes are more than the %d that are accepted", resp.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	a.client.metrics.OriginBytes.WithLabelValues(a.repo.Host).Add(float64(len(body)))
	switch {
	case err != nil:
		return nil, nil, bodyFault(resp, err)
	case int64(len(body)) > limit:
		return nil, nil, a.broken(resp, "more than the %d bytes that are accepted", limit)
	}
	return body, resp, nil
}

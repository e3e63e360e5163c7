package events

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/larder-dev/larder/internal/version"
)

const (
	sendTimeout = 30 * time.Second // of one attempt
	readOfError = 4 << 10          // bytes of an answer that are read, so that its connection is used again
)

// Sink is where events are sent: whatever address the operator names. The addresses that are refused to origins are not refused to it.
type Sink struct {
	url    *url.URL
	client *http.Client
}

// ParseSink checks a sink's URL. The error shows nothing of it: it may hold a credential.
func ParseSink(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return nil, errors.New("not the URL of a sink: write an http:// or https:// URL")
	}
	return u, nil
}

// NewSink returns a sink that trusts the certificates in caFile beside the system's; empty: those alone.
func NewSink(u *url.URL, caFile string) (*Sink, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // net/http documents it
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = 1
	if caFile != "" {
		pool, err := poolOf(caFile)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &Sink{url: u, client: &http.Client{
		Transport: transport, Timeout: sendTimeout,
		// A redirect would turn the POST into a GET, or take the event to who was not named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func poolOf(caFile string) (*x509.CertPool, error) {
	content, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the sink's certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("reading the sink's certificates: %s: no certificate in it: write the path of a PEM file", caFile)
	}
	return pool, nil
}

// String is the sink's address for logs: without user, path and query, of which each may be a secret.
func (s *Sink) String() string { return s.url.Scheme + "://" + s.url.Host }

// answer is what a sink said to an event.
type answer struct {
	taken   bool
	refused bool          // it will never take this one
	after   time.Duration // not before that it wants to be asked again
	err     error         // why it was not taken
}

func (s *Sink) send(ctx context.Context, content []byte) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(content))
	if err != nil {
		return answer{refused: true, err: errors.New("the sink's URL cannot be asked")}
	}
	req.Header.Set("Content-Type", event.ApplicationCloudEventsJSON+"; charset=utf-8")
	req.Header.Set("User-Agent", version.UserAgent())
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{err: withoutURL(err)}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, readOfError)
	return judge(resp)
}

// judge takes those answers for good that are about the event itself. All others may be about the sink, and change.
func judge(resp *http.Response) answer {
	a := answer{err: fmt.Errorf("the sink answers %d", resp.StatusCode)}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return answer{taken: true}
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusRequestEntityTooLarge,
		resp.StatusCode == http.StatusUnsupportedMediaType, resp.StatusCode == http.StatusUnprocessableEntity:
		a.refused = true
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.after = min(time.Duration(seconds)*time.Second, lastRetry)
	}
	return a
}

// withoutURL is the cause alone: net/http begins its errors with the URL.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func jitter(wait time.Duration) time.Duration { return wait/2 + rand.N(wait/2) }

package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// downFor is how long an endpoint that could not be reached is tried after the others.
const downFor = 30 * time.Second

// origin is a registry with the endpoints that serve it, in the order in which they are configured.
type origin struct {
	host      string
	endpoints []*endpoint
	keychains []*keychain // in the order of A3

	avoidUntil atomic.Int64 // where there are alternatives, in Unix nanoseconds; 0: not avoided
}

// endpoint is one base URL of an origin.
type endpoint struct {
	base      *url.URL
	link      *link
	downUntil atomic.Int64                        // in Unix nanoseconds; 0: up
	challenge atomic.Pointer[transport.Challenge] // the answer to the last ping; nil: ping
}

// order returns the indexes of the endpoints, those that were down a moment ago last.
func (o *origin) order(now time.Time) []int {
	up, down := make([]int, 0, len(o.endpoints)), []int(nil)
	for i, e := range o.endpoints {
		if now.UnixNano() < e.downUntil.Load() {
			down = append(down, i)
		} else {
			up = append(up, i)
		}
	}
	return slices.Concat(up, down)
}

// wentDown notes a failure to connect and says whether that is news.
func (e *endpoint) wentDown(now time.Time) bool {
	return e.downUntil.Swap(now.Add(downFor).UnixNano()) == 0
}

// wentUp notes an answer and says whether that is news.
func (e *endpoint) wentUp() bool {
	return e.downUntil.Load() != 0 && e.downUntil.Swap(0) != 0
}

// url returns the URL of a path of the distribution API.
func (e *endpoint) url(path string, query url.Values) *url.URL {
	u := *e.base
	u.Path += "/v2/" + path
	u.RawQuery = query.Encode()
	return &u
}

func endpointsOf(r Registry) []string {
	switch {
	case len(r.Endpoints) > 0:
		return r.Endpoints
	case r.Host == "docker.io":
		return []string{"https://registry-1.docker.io"}
	default:
		return []string{"https://" + r.Host}
	}
}

// parseEndpoint reads a base URL. Errors do not repeat it: it may hold a password.
func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Hostname() == "", u.Opaque != "":
		return nil, errors.New("an endpoint is no URL: write https://host[:port][/path]")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("endpoint %s: the scheme must be https or http", bareURL(u))
	case u.User != nil:
		return nil, fmt.Errorf("endpoint %s: credentials belong into the credentials file", bareURL(u))
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %s: a base URL has no query and no fragment", bareURL(u))
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	return u, nil
}

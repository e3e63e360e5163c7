package origin

import (
	"net/http"
	"regexp"
	"time"
)

// Kind says what a request asks for.
type Kind string

// The kinds of requests.
const (
	KindPing      Kind = "ping" // GET /v2/
	KindManifest  Kind = "manifest"
	KindBlob      Kind = "blob"
	KindTags      Kind = "tags"
	KindReferrers Kind = "referrers"
	KindToken     Kind = "token"     // at the token server
	KindCDN       Kind = "cdn"       // a blob, at the CDN
	KindChallenge Kind = "challenge" // answered with 401: no credentials, or none that are good
	KindOther     Kind = "other"     // uploads, the catalog, and what is no registry's path
)

// Request is a request as it arrived.
type Request struct {
	Kind       Kind
	Method     string
	Path       string
	Query      string // raw
	Repository string
	Reference  string // tag or digest; empty where the kind has none
	Header     http.Header
	At         time.Time
	Status     int // of the answer; 0 until its header is out, or if it never was

	challenge string // WWW-Authenticate, for KindChallenge
}

var registryPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)$`)

var kindOfPath = map[string]Kind{
	"manifests": KindManifest, "blobs": KindBlob, "tags": KindTags, "referrers": KindReferrers,
}

func newRequest(r *http.Request, kind Kind) *Request {
	return &Request{
		Kind: kind, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Header: r.Header.Clone(), At: time.Now(),
	}
}

func classify(r *http.Request) *Request {
	req := newRequest(r, KindOther)
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		req.Kind = KindPing
		return req
	}
	m := registryPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return req
	}
	req.Kind, req.Repository, req.Reference = kindOfPath[m[2]], m[1], m[3]
	if req.Kind == KindTags {
		req.Reference = ""
	}
	return req
}

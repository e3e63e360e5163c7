package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/larder-dev/larder/internal/cache"
)

func TestHandler_Naming(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target string
		host   string // instead of the address
		want   string // the repository that the cache was asked for; empty: refused
		status int
		ns     string // OCI-Namespace
	}{
		"A short name":               {target: "/v2/nginx/tags/list", want: "docker.io/library/nginx", status: 200},
		"A host in the path":         {target: "/v2/ghcr.io/org/app/tags/list", want: "ghcr.io/org/app", status: 200},
		"A port in the path":         {target: "/v2/reg.example_5000/app/tags/list", want: "reg.example:5000/app", status: 200},
		"A mirror":                   {target: "/v2/library/nginx/tags/list?ns=docker.io", want: "docker.io/library/nginx", status: 200, ns: "docker.io"},
		"A mirror with a port":       {target: "/v2/app/tags/list?ns=reg.example:5000", want: "reg.example:5000/app", status: 200, ns: "reg.example:5000"},
		"A mirror, escaped":          {target: "/v2/app/tags/list?n=1&ns=reg.example%3A5000", want: "reg.example:5000/app", status: 200, ns: "reg.example:5000"},
		"A mirror of dotted names":   {target: "/v2/ghcr.io/app/tags/list?ns=reg.example", want: "reg.example/ghcr.io/app", status: 200, ns: "reg.example"},
		"Larder by its option":       {target: "/v2/ghcr.io/app/tags/list?ns=larder.example:7439", want: "ghcr.io/app", status: 200, ns: "larder.example:7439"},
		"Larder by its Host":         {target: "/v2/ghcr.io/app/tags/list?ns=localhost:7439", host: "localhost:7439", want: "ghcr.io/app", status: 200, ns: "localhost:7439"},
		"Larder in upper case":       {target: "/v2/ghcr.io/app/tags/list?ns=Larder.example:7439", want: "ghcr.io/app", status: 200, ns: "Larder.example:7439"},
		"An empty ns":                {target: "/v2/ghcr.io/app/tags/list?ns=", want: "ghcr.io/app", status: 200},
		"Another localhost":          {target: "/v2/app/tags/list?ns=localhost:5000", status: 404},
		"Localhost without a port":   {target: "/v2/app/tags/list?ns=LOCALHOST", status: 404},
		"Localhost with a dot":       {target: "/v2/app/tags/list?ns=localhost.:5000", status: 404},
		"A loopback address":         {target: "/v2/app/tags/list?ns=127.8.9.1:5000", status: 404},
		"The loopback address of v6": {target: "/v2/app/tags/list?ns=[::1]:5000", status: 404},
		"v6 without a port":          {target: "/v2/app/tags/list?ns=[::1]", status: 404},
		"v4 in v6":                   {target: "/v2/app/tags/list?ns=[::ffff:127.0.0.1]:80", status: 404},
		"Any address":                {target: "/v2/app/tags/list?ns=0.0.0.0:80", status: 404},
		"Any address in v6":          {target: "/v2/app/tags/list?ns=[::ffff:0.0.0.0]:80", status: 404},
		"A bad name":                 {target: "/v2/App/tags/list?ns=docker.io", status: 400},
		"A bad ns":                   {target: "/v2/app/tags/list?ns=a/b", status: 400},
		"A badly escaped ns":         {target: "/v2/app/tags/list?ns=%zz", status: 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			addr := serve(t, f)
			got := exchange(t, addr, "GET", tt.target, "Host: "+cmp.Or(tt.host, addr))
			if got.StatusCode != tt.status || f.lastAsked() != tt.want {
				t.Errorf("%s: status %d for %q, want %d for %q", tt.target, got.StatusCode, f.lastAsked(), tt.status, tt.want)
			}
			if ns := got.Header.Get("OCI-Namespace"); ns != tt.ns {
				t.Errorf("OCI-Namespace: %q, want %q", ns, tt.ns)
			}
		})
	}
}

func TestHandler_T9_Errors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err         error
		path        int // status by path
		mirror      int // status by ns
		code, after string
	}{
		"Unknown manifest":  {err: refusal(404, cache.CodeManifestUnknown, "docker.io answered 404"), path: 404, mirror: 404, code: "MANIFEST_UNKNOWN"},
		"Denied":            {err: refusal(403, cache.CodeDenied, "docker.io answered 403"), path: 403, mirror: 403, code: "DENIED"},
		"Denied with a 401": {err: refusal(401, cache.CodeDenied, "docker.io answered 401"), path: 403, mirror: 403, code: "DENIED"},
		"Rate limited":      {err: rateLimited(90 * time.Second), path: 429, mirror: 503, code: "TOOMANYREQUESTS", after: "90"},
		"Part of a second":  {err: rateLimited(1500 * time.Millisecond), path: 429, mirror: 503, code: "TOOMANYREQUESTS", after: "2"},
		"Without a time":    {err: rateLimited(0), path: 429, mirror: 503, code: "TOOMANYREQUESTS", after: "1"},
		"A slow request":    {err: refusal(408, cache.CodeUnavailable, "docker.io answered 408"), path: 408, mirror: 503, code: "UNAVAILABLE"},
		"Unavailable":       {err: refusal(502, cache.CodeUnavailable, "docker.io answered 500"), path: 502, mirror: 502, code: "UNAVAILABLE"},
		"Timed out":         {err: refusal(504, cache.CodeUnavailable, "docker.io did not answer"), path: 504, mirror: 504, code: "UNAVAILABLE"},
		"A deadline":        {err: fmt.Errorf("asking: %w", context.DeadlineExceeded), path: 504, mirror: 504, code: "UNAVAILABLE"},
		"A shutdown":        {err: context.Canceled, path: 503, mirror: 503, code: "UNAVAILABLE"},
		"A bug":             {err: errors.New("open /data/secret: no such file"), path: 500, mirror: 500, code: "UNKNOWN"},
	}
	targets := []string{"/v2/a/manifests/1.27", "/v2/a/blobs/" + blobDigest.String(), "/v2/a/tags/list", "/v2/a/referrers/" + blobDigest.String()}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, &fake{err: tt.err})
			for _, target := range targets {
				checkRefusal(t, exchange(t, addr, "GET", target), tt.path, tt.code, tt.after)
				checkRefusal(t, exchange(t, addr, "GET", target+"?ns=docker.io"), tt.mirror, tt.code, tt.after)
			}
		})
	}
}

func rateLimited(d time.Duration) error {
	e := refusal(429, cache.CodeTooManyRequests, "docker.io answered 429")
	e.RetryAfter = d
	return e
}

func checkRefusal(t *testing.T, got reply, status int, code, after string) {
	t.Helper()
	if got.StatusCode != status || got.code() != code || got.Header.Get("Retry-After") != after {
		t.Errorf("status %d, code %q, Retry-After %q; want %d, %q, %q\n%s",
			got.StatusCode, got.code(), got.Header.Get("Retry-After"), status, code, after, got.body)
	}
	checkEveryAnswer(t, got)
	for _, key := range []string{"ETag", "Docker-Content-Digest", "Content-Range"} {
		if value := got.Header.Get(key); value != "" {
			t.Errorf("a refusal has %s: %q", key, value)
		}
	}
}

func TestHandler_NeverTellsInternals(t *testing.T) {
	t.Parallel()
	addr := serve(t, &fake{err: errors.New("open /data/secret: no such file")})
	if got := exchange(t, addr, "GET", "/v2/a/tags/list"); strings.Contains(got.body, "/data") {
		t.Errorf("the answer tells what only the log should: %s", got.body)
	}
}

func TestHandler_ClientGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &fake{err: fmt.Errorf("waiting for the check: %w", context.Canceled)}
	w := httptest.NewRecorder()
	newHandler(f, f, Options{Log: testr.New(t)}).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v2/a/tags/list", nil))
	if w.Code != statusClientClosed || w.Body.Len() != 0 {
		t.Errorf("status %d with %d bytes, want %d with none", w.Code, w.Body.Len(), statusClientClosed)
	}
}

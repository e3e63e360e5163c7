package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	manifestPath = "/v2/nginx/manifests/1.27"
	blobPath     = "/v2/nginx/blobs/" + blobDigest.String()
	tagsPath     = "/v2/nginx/tags/list"
	refsPath     = "/v2/nginx/referrers/" + manifestDigest.String()
)

func TestHandler_Headers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		f      *fake
		target string
		want   map[string]string
	}{
		"A manifest": {&fake{}, manifestPath, map[string]string{
			"Content-Type":          ocispec.MediaTypeImageManifest,
			"Content-Length":        "76",
			"Docker-Content-Digest": manifestDigest.String(),
			"ETag":                  `"` + manifestDigest.String() + `"`,
			"Accept-Ranges":         "bytes",
		}},
		"A blob": {&fake{}, blobPath, map[string]string{
			"Content-Type":          "application/octet-stream",
			"Content-Length":        "20",
			"Docker-Content-Digest": blobDigest.String(),
			"ETag":                  `"` + blobDigest.String() + `"`,
			"Accept-Ranges":         "bytes",
		}},
		"A blob with a media type": {&fake{mediaType: ocispec.MediaTypeImageLayerGzip}, blobPath, map[string]string{
			"Content-Type": ocispec.MediaTypeImageLayerGzip,
		}},
		"A blob of unknown size": {&fake{unsized: true}, blobPath, map[string]string{
			"Content-Length":        "",
			"Docker-Content-Digest": blobDigest.String(),
		}},
		"Tags": {&fake{tags: []string{"1"}}, tagsPath, map[string]string{
			"Content-Type": "application/json", "Content-Length": "29",
		}},
		"Referrers": {&fake{}, refsPath, map[string]string{
			"Content-Type": ocispec.MediaTypeImageIndex, "OCI-Filters-Applied": "",
		}},
		"Filtered referrers": {&fake{}, refsPath + "?artifactType=a%2Fb", map[string]string{
			"OCI-Filters-Applied": "artifactType",
		}},
		"The base": {&fake{}, "/v2/", map[string]string{
			"Content-Type": "application/json", "Content-Length": "2",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, tt.f)
			get, head := exchange(t, addr, "GET", tt.target), exchange(t, addr, "HEAD", tt.target)
			if get.StatusCode != http.StatusOK || head.StatusCode != http.StatusOK || get.err != nil {
				t.Fatalf("GET %d (%v), HEAD %d; want 200", get.StatusCode, get.err, head.StatusCode)
			}
			for key, want := range tt.want {
				if got := get.Header.Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
			checkEveryAnswer(t, get)
			if head.body != "" {
				t.Errorf("HEAD has a body: %q", head.body)
			}
			if diff := cmp.Diff(withoutDate(get.Header), withoutDate(head.Header)); diff != "" {
				t.Errorf("HEAD differs from GET (-GET +HEAD):\n%s", diff)
			}
		})
	}
}

func withoutDate(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Date")
	return h
}

func TestHandler_ServesExactBytes(t *testing.T) {
	t.Parallel()
	addr := serve(t, &fake{})
	if got := exchange(t, addr, "GET", manifestPath, "Accept: text/html"); got.body != manifestBody {
		t.Errorf("manifest: %q, want %q", got.body, manifestBody)
	}
	if got := exchange(t, addr, "GET", blobPath, "Accept-Encoding: gzip"); got.body != blobBody {
		t.Errorf("blob: %q, want %q", got.body, blobBody)
	}
}

func TestHandler_CacheStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		outcome         cache.Outcome
		status, warning string
	}{
		"Within the interval":   {cache.Outcome{Kind: cache.Hit, TTL: 3599*time.Second + 999*time.Millisecond}, "larder; hit; ttl=3599", ""},
		"Due at once":           {cache.Outcome{Kind: cache.Hit}, "larder; hit; ttl=0", ""},
		"Never checked":         {cache.Outcome{Kind: cache.Hit, TTL: -1}, "larder; hit", ""},
		"A stored miss":         {cache.Outcome{Kind: cache.Miss, Stored: true}, "larder; fwd=uri-miss; stored", ""},
		"A miss passed through": {cache.Outcome{Kind: cache.Miss}, "larder; fwd=uri-miss", ""},
		"Joined":                {cache.Outcome{Kind: cache.Collapsed}, "larder; fwd=uri-miss; collapsed", ""},
		"Revalidated":           {cache.Outcome{Kind: cache.Revalidated}, "larder; fwd=stale; fwd-status=200", ""},
		"Pinned":                {cache.Outcome{Kind: cache.Hit, TTL: -1, Held: cache.HeldPinned}, "larder; hit; detail=pinned", ""},
		"Pinned, for a while":   {cache.Outcome{Kind: cache.Hit, TTL: time.Minute, Held: cache.HeldPinned}, "larder; hit; ttl=60; detail=pinned", ""},
		"Immutable":             {cache.Outcome{Kind: cache.Revalidated, Held: cache.HeldImmutable}, "larder; fwd=stale; fwd-status=200; detail=immutable", ""},
		"Pinned, and stale":     {cache.Outcome{Kind: cache.Stale, Why: "timeout", Held: cache.HeldPinned}, "larder; hit; detail=stale-timeout", `299 - "stale: timeout"`},
		"Stale":                 {cache.Outcome{Kind: cache.Stale, Why: "timeout"}, "larder; hit; detail=stale-timeout", `299 - "stale: timeout"`},
		"None":                  {cache.Outcome{}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, &fake{outcome: tt.outcome})
			for _, target := range []string{manifestPath, blobPath, tagsPath, refsPath} {
				for _, method := range []string{"GET", "HEAD"} {
					got := exchange(t, addr, method, target)
					status, warning := got.Header.Get("Cache-Status"), got.Header.Get("Warning")
					if status != tt.status || warning != tt.warning {
						t.Errorf("%s %s: %q and warning %q, want %q and %q", method, target, status, warning, tt.status, tt.warning)
					}
				}
			}
		})
	}
}

func TestHandler_IfNoneMatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		headers []string // ETAG stands for the target's entity tag without its quotes
		want    int
	}{
		"None":             {nil, 200},
		"The same":         {[]string{`If-None-Match: "ETAG"`}, 304},
		"The same, weak":   {[]string{`If-None-Match: W/"ETAG"`}, 304},
		"In a list":        {[]string{`If-None-Match: "a, b" , "ETAG","c"`}, 304},
		"In a second line": {[]string{`If-None-Match: "a"`, `If-None-Match: "ETAG"`}, 304},
		"Anything":         {[]string{"If-None-Match: *"}, 304},
		"Another":          {[]string{`If-None-Match: "sha256:0"`}, 200},
		"A longer one":     {[]string{`If-None-Match: "xETAG", "ETAGx"`}, 200},
		"Unquoted":         {[]string{"If-None-Match: ETAG"}, 200},
		"Before the range": {[]string{`If-None-Match: "ETAG"`, "Range: bytes=0-1"}, 304},
		"Only an If-Range": {[]string{`If-Range: "ETAG"`}, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, &fake{outcome: cache.Outcome{Kind: cache.Hit, TTL: -1}})
			for _, target := range []string{manifestPath, blobPath, tagsPath, refsPath} {
				plain := exchange(t, addr, "HEAD", target)
				headers := make([]string, len(tt.headers))
				for i, line := range tt.headers {
					headers[i] = strings.ReplaceAll(line, "ETAG", strings.Trim(plain.Header.Get("ETag"), `"`))
				}
				for _, method := range []string{"GET", "HEAD"} {
					got := exchange(t, addr, method, target, headers...)
					if got.StatusCode != tt.want {
						t.Errorf("%s %s: %d, want %d", method, target, got.StatusCode, tt.want)
					}
					checkConditional(t, plain, got)
				}
			}
		})
	}
}

// checkConditional holds a conditional answer against the plain one. net/http itself drops what describes a body from a 304.
func checkConditional(t *testing.T, plain, got reply) {
	t.Helper()
	want, have := withoutDate(plain.Header), withoutDate(got.Header)
	if got.StatusCode == http.StatusNotModified {
		want.Del("Content-Type")
		want.Del("Content-Length")
		if got.body != "" {
			t.Errorf("a 304 has a body: %q", got.body)
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("headers (-plain +conditional):\n%s", diff)
	}
}

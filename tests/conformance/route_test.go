package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// TestConformance_OnlyReadsAreServed tries every other method everywhere. A read-only cache must say so in the spec's words, must
// ask no origin, and must change nothing.
func TestConformance_OnlyReadsAreServed(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	s := newSite(t, c)
	paths := []string{
		"/v2/", in("manifests/{tag}"), in("manifests/{manifest}"), in("manifests/new"), in("blobs/{blob}"), in("blobs/uploads/"),
		in("blobs/uploads/1b3c"), in("blobs/uploads/?mount={blob}&from=other"), in("tags/list"), in("referrers/{manifest}"),
		"/v2/_catalog", "/v2/" + repository + "/manifests/{tag}?ns=reg.example", in("tags/test0"),
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
		for _, path := range paths {
			got := s.ask(t, method, path).want(t, http.StatusMethodNotAllowed)
			if allow, code := got.Header.Get("Allow"), got.code(t); allow != "GET, HEAD" || code != "UNSUPPORTED" {
				t.Errorf("%s: got Allow %q and code %q", got.what, allow, code)
			}
		}
	}
	if n := c.origin.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin was asked %d times, want never", n)
	}
	s.ask(t, "GET", in("manifests/{tag}")).want(t, 200)
	s.ask(t, "GET", in("manifests/new")).want(t, 404)
}

func TestConformance_UnknownPaths(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	tests := map[string]struct {
		path   string
		status int
		code   string
	}{
		"Outside":                       {"/", 404, "UNSUPPORTED"},
		"Version 1":                     {"/v1/", 404, "UNSUPPORTED"},
		"A longer version":              {"/v2x/", 404, "UNSUPPORTED"},
		"The catalog":                   {"/v2/_catalog", 404, "UNSUPPORTED"},
		"Search":                        {"/v2/search", 404, "UNSUPPORTED"},
		"No endpoint":                   {in("layers/" + digest), 404, "UNSUPPORTED"},
		"An upload's status":            {in("blobs/uploads/1b3c"), 404, "UNSUPPORTED"},
		"Tags without list":             {in("tags/1"), 404, "UNSUPPORTED"},
		"Health":                        {"/healthz", 404, "UNSUPPORTED"},
		"A repository alone":            {"/v2/" + repository, 404, "UNSUPPORTED"},
		"An empty component":            {"/v2/reg.example//manifests/1", 400, "NAME_INVALID"},
		"Upper case":                    {"/v2/reg.example/App/manifests/1", 400, "NAME_INVALID"},
		"An underscore first":           {"/v2/reg.example/_app/manifests/1", 400, "NAME_INVALID"},
		"A host alone":                  {"/v2/reg.example/manifests/1", 400, "NAME_INVALID"},
		"A name too long":               {"/v2/reg.example/" + strings.Repeat("a", 300) + "/manifests/1", 400, "NAME_INVALID"},
		"A tag too long":                {in("manifests/" + strings.Repeat("a", 129)), 404, "MANIFEST_UNKNOWN"},
		"A malformed tag":               {in("manifests/-x"), 404, "MANIFEST_UNKNOWN"},
		"A short digest":                {in("manifests/sha256:0123"), 400, "DIGEST_INVALID"},
		"An unknown algorithm":          {in("blobs/md5:0123456789abcdef0123456789abcdef"), 400, "DIGEST_INVALID"},
		"A digest in capitals":          {in("blobs/sha256:" + strings.Repeat("A", 64)), 400, "DIGEST_INVALID"},
		"A blob by tag":                 {in("blobs/latest"), 400, "DIGEST_INVALID"},
		"Referrers of a tag":            {in("referrers/latest"), 400, "DIGEST_INVALID"},
		"Another loopback as namespace": {"/v2/app/manifests/1?ns=localhost:5000", 404, "NAME_UNKNOWN"},
		"A malformed namespace":         {"/v2/app/manifests/1?ns=a%20b", 400, "NAME_INVALID"},
		"Metadata as namespace":         {"/v2/app/manifests/1?ns=169.254.169.254", 403, "DENIED"},
	}
	c := newContent(t)
	s := newSite(t, c)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.ask(t, "GET", tt.path).want(t, tt.status); got.code(t) != tt.code {
				t.Errorf("%s: got %s, want code %s", got.what, oneLine(got.body), tt.code)
			}
			s.ask(t, "HEAD", tt.path).want(t, tt.status)
		})
	}
	t.Cleanup(func() {
		if n := c.origin.Count(origin.Everything()); n != 0 {
			t.Errorf("the origin was asked %d times, want never", n)
		}
	})
}

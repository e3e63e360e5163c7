package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRoute(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path string
		want route
	}{
		"The base":                           {"/v2/", route{endpoint: base}},
		"The base without its slash":         {"/v2", route{endpoint: base}},
		"Another API":                        {"/v1/search", route{endpoint: outside}},
		"A prefix that only looks like ours": {"/v2x/a/tags/list", route{endpoint: outside}},
		"The root":                           {"/", route{endpoint: outside}},
		"A manifest by tag":                  {"/v2/a/b/manifests/1", route{manifest, "a/b", "1"}},
		"A manifest by digest":               {"/v2/a/manifests/sha256:ab", route{manifest, "a", "sha256:ab"}},
		"A blob":                             {"/v2/docker.io/a/blobs/sha256:ab", route{blob, "docker.io/a", "sha256:ab"}},
		"The tags list":                      {"/v2/a/tags/list", route{tags, "a", ""}},
		"Referrers":                          {"/v2/a/referrers/sha256:ab", route{referrers, "a", "sha256:ab"}},
		"A repository called manifests":      {"/v2/manifests/manifests/manifests", route{manifest, "manifests", "manifests"}},
		"A name with blobs in it":            {"/v2/a/blobs/b/manifests/1", route{manifest, "a/blobs/b", "1"}},
		"A name that ends in tags":           {"/v2/a/tags/tags/list", route{tags, "a/tags", ""}},
		"A tag called list":                  {"/v2/a/tags/manifests/list", route{manifest, "a/tags", "list"}},
		"Encoded, but no slash":              {"/v2/a/blobs/sha256%3Aab", route{blob, "a", "sha256:ab"}},
		"An encoded slash":                   {"/v2/a%2Fb/manifests/1", route{endpoint: unknown}},
		"No name":                            {"/v2/manifests/1", route{manifest, "", "1"}},
		"The catalog":                        {"/v2/_catalog", route{endpoint: unknown}},
		"Tags without list":                  {"/v2/a/tags/1", route{endpoint: unknown}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.ParseRequestURI(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, parseRoute(u), cmp.AllowUnexported(route{})); diff != "" {
				t.Errorf("parseRoute(%q) (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

// FuzzParseRoute holds that a route loses nothing of its path, and that a name never gains a component.
func FuzzParseRoute(f *testing.F) {
	for _, seed := range []string{
		"/v2/", "/v2/a/manifests/b", "/v2/a/tags/list", "/v2//blobs/", "/v2/a%2fb/manifests/1", "/v2/../referrers/%3A", "*", "/v2/%zz",
	} {
		f.Add(seed)
	}
	keywords := map[endpoint]string{manifest: "/manifests/", blob: "/blobs/", referrers: "/referrers/", tags: "/tags/list"}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		rt := parseRoute(u)
		keyword, addressed := keywords[rt.endpoint]
		if !addressed {
			if rt.name != "" || rt.reference != "" {
				t.Errorf("%q: %s has a name or a reference: %+v", target, rt.endpoint, rt)
			}
			return
		}
		before, whole := strings.CutSuffix(u.Path, keyword+rt.reference)
		if !whole || before != "/v2/"+rt.name && (before != "/v2" || rt.name != "") {
			t.Errorf("%q was read as %+v", u.Path, rt)
		}
		if strings.Contains(rt.reference, "/") {
			t.Errorf("%q: the reference %q has a slash", target, rt.reference)
		}
		if strings.Count(rt.name, "/") > strings.Count(u.EscapedPath(), "/") {
			t.Errorf("%q: the name %q has more components than the path", target, rt.name)
		}
	})
}

func TestQueryValue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw, want string
		ok        bool
	}{
		"No query":          {"", "", false},
		"The only one":      {"ns=docker.io", "docker.io", true},
		"After another":     {"x=1&ns=docker.io", "docker.io", true},
		"The first of two":  {"ns=a&ns=b", "a", true},
		"Escaped":           {"ns=reg.example%3A5000", "reg.example:5000", true},
		"Badly escaped":     {"ns=%zz", "%zz", true},
		"Empty":             {"ns=", "", true},
		"Without a value":   {"ns", "", true},
		"A longer key only": {"nsx=a", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := queryValue(tt.raw, "ns"); got != tt.want || ok != tt.ok {
				t.Errorf("queryValue(%q) = %q, %v; want %q, %v", tt.raw, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestHandler_Paths(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, target string
		status         int
		code           string
	}{
		"The base":                            {"GET", "/v2/", 200, ""},
		"The base without its slash":          {"GET", "/v2", 200, ""},
		"Outside":                             {"GET", "/", 404, "UNSUPPORTED"},
		"Outside, with a method":              {"DELETE", "/v3/", 404, "UNSUPPORTED"},
		"A manifest":                          {"GET", "/v2/nginx/manifests/1.27", 200, ""},
		"A manifest by digest":                {"GET", "/v2/nginx/manifests/" + manifestDigest.String(), 200, ""},
		"An encoded colon":                    {"GET", "/v2/nginx/blobs/" + strings.Replace(blobDigest.String(), ":", "%3A", 1), 200, ""},
		"An unknown tag":                      {"GET", "/v2/nginx/manifests/2", 404, "MANIFEST_UNKNOWN"},
		"What the conformance suite asks for": {"GET", "/v2/nginx/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"},
		"An empty reference":                  {"GET", "/v2/nginx/manifests/", 404, "MANIFEST_UNKNOWN"},
		"A malformed digest":                  {"GET", "/v2/nginx/manifests/sha256:short", 400, "DIGEST_INVALID"},
		"An unknown algorithm":                {"GET", "/v2/nginx/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"},
		"A blob by tag":                       {"GET", "/v2/nginx/blobs/latest", 400, "DIGEST_INVALID"},
		"An unknown blob":                     {"GET", "/v2/nginx/blobs/" + absentDigest.String(), 404, "BLOB_UNKNOWN"},
		"Referrers of a tag":                  {"GET", "/v2/nginx/referrers/latest", 400, "DIGEST_INVALID"},
		"Dots":                                {"GET", "/v2/a/../b/manifests/1.27", 400, "NAME_INVALID"},
		"Encoded dots":                        {"GET", "/v2/a/%2e%2e/b/manifests/1.27", 400, "NAME_INVALID"},
		"Dots that leave the API":             {"GET", "/v2/../v2/a/tags/list", 400, "NAME_INVALID"},
		"An encoded slash":                    {"GET", "/v2/a%2fb/manifests/1.27", 400, "NAME_INVALID"},
		"An empty component":                  {"GET", "/v2/a//b/manifests/1.27", 400, "NAME_INVALID"},
		"A name that starts with slash":       {"GET", "/v2//nginx/manifests/1.27", 400, "NAME_INVALID"},
		"No name":                             {"GET", "/v2/manifests/1.27", 400, "NAME_INVALID"},
		"Upper case":                          {"GET", "/v2/Nginx/manifests/1.27", 400, "NAME_INVALID"},
		"An encoded zero":                     {"GET", "/v2/a%00b/manifests/1.27", 400, "NAME_INVALID"},
		"Nothing, with a slash":               {"GET", "/v2/nginx/", 400, "NAME_INVALID"},
		"The catalog":                         {"GET", "/v2/_catalog", 404, "UNSUPPORTED"},
		"A push":                              {"PUT", "/v2/nginx/manifests/1.27", 405, "UNSUPPORTED"},
		"A push under a malformed digest":     {"PUT", "/v2/nginx/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"},
		"An upload":                           {"POST", "/v2/nginx/blobs/uploads/", 405, "UNSUPPORTED"},
		"A delete":                            {"DELETE", "/v2/nginx/manifests/" + manifestDigest.String(), 405, "UNSUPPORTED"},
		"A method on the base":                {"OPTIONS", "/v2/", 405, "UNSUPPORTED"},
	}
	addr := serve(t, &fake{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, addr, tt.method, tt.target)
			if got.StatusCode != tt.status || got.code() != tt.code {
				t.Errorf("%s %s: %d %s, want %d %s\n%s", tt.method, tt.target, got.StatusCode, got.code(), tt.status, tt.code, got.body)
			}
			checkEveryAnswer(t, got)
			if tt.status == http.StatusMethodNotAllowed && got.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q, want %q", got.Header.Get("Allow"), "GET, HEAD")
			}
		})
	}
}

func checkEveryAnswer(t *testing.T, got reply) {
	t.Helper()
	for key, want := range map[string]string{
		"X-Content-Type-Options":          "nosniff",
		"Docker-Distribution-API-Version": "registry/2.0",
		"WWW-Authenticate":                "",
	} {
		if value := got.Header.Get(key); value != want {
			t.Errorf("%s: %q, want %q", key, value, want)
		}
	}
}

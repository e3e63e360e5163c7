package proxy

import (
	"net/http"
	"strings"
	"testing"
)

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

package ocipath

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path string
		want Route
	}{
		"The base":                           {"/v2/", Route{Endpoint: Base}},
		"The base without its slash":         {"/v2", Route{Endpoint: Base}},
		"Another API":                        {"/v1/search", Route{Endpoint: Outside}},
		"A prefix that only looks like ours": {"/v2x/a/tags/list", Route{Endpoint: Outside}},
		"The root":                           {"/", Route{Endpoint: Outside}},
		"A manifest by tag":                  {"/v2/a/b/manifests/1", Route{Manifest, "a/b", "1"}},
		"A manifest by digest":               {"/v2/a/manifests/sha256:ab", Route{Manifest, "a", "sha256:ab"}},
		"A blob":                             {"/v2/docker.io/a/blobs/sha256:ab", Route{Blob, "docker.io/a", "sha256:ab"}},
		"The tags list":                      {"/v2/a/tags/list", Route{Tags, "a", ""}},
		"Referrers":                          {"/v2/a/referrers/sha256:ab", Route{Referrers, "a", "sha256:ab"}},
		"A repository called manifests":      {"/v2/manifests/manifests/manifests", Route{Manifest, "manifests", "manifests"}},
		"A name with blobs in it":            {"/v2/a/blobs/b/manifests/1", Route{Manifest, "a/blobs/b", "1"}},
		"A name that ends in tags":           {"/v2/a/tags/tags/list", Route{Tags, "a/tags", ""}},
		"A tag called list":                  {"/v2/a/tags/manifests/list", Route{Manifest, "a/tags", "list"}},
		"Encoded, but no slash":              {"/v2/a/blobs/sha256%3Aab", Route{Blob, "a", "sha256:ab"}},
		"An encoded slash":                   {"/v2/a%2Fb/manifests/1", Route{Endpoint: Unknown}},
		"No name":                            {"/v2/manifests/1", Route{Manifest, "", "1"}},
		"The catalog":                        {"/v2/_catalog", Route{Endpoint: Unknown}},
		"Tags without list":                  {"/v2/a/tags/1", Route{Endpoint: Unknown}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.ParseRequestURI(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, Parse(u)); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

// FuzzParse holds that a route loses nothing of its path, and that a name never gains a component.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/v2/", "/v2/a/manifests/b", "/v2/a/tags/list", "/v2//blobs/", "/v2/a%2fb/manifests/1", "/v2/../referrers/%3A", "*", "/v2/%zz",
	} {
		f.Add(seed)
	}
	keywords := map[Endpoint]string{Manifest: "/manifests/", Blob: "/blobs/", Referrers: "/referrers/", Tags: "/tags/list"}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		rt := Parse(u)
		keyword, addressed := keywords[rt.Endpoint]
		if !addressed {
			if rt.Name != "" || rt.Reference != "" {
				t.Errorf("%q: %s has a name or a reference: %+v", target, rt.Endpoint, rt)
			}
			return
		}
		before, whole := strings.CutSuffix(u.Path, keyword+rt.Reference)
		if !whole || before != "/v2/"+rt.Name && (before != "/v2" || rt.Name != "") {
			t.Errorf("%q was read as %+v", u.Path, rt)
		}
		if strings.Contains(rt.Reference, "/") {
			t.Errorf("%q: the reference %q has a slash", target, rt.Reference)
		}
		if strings.Count(rt.Name, "/") > strings.Count(u.EscapedPath(), "/") {
			t.Errorf("%q: the name %q has more components than the path", target, rt.Name)
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
			if got, ok := QueryValue(tt.raw, "ns"); got != tt.want || ok != tt.ok {
				t.Errorf("QueryValue(%q) = %q, %v; want %q, %v", tt.raw, got, ok, tt.want, tt.ok)
			}
		})
	}
}

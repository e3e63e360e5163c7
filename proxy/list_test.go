package proxy

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestHandler_D2_TagPages(t *testing.T) {
	t.Parallel()
	unsorted := []string{"b", "1.10", "a", "1.9", "B"}
	tests := map[string]struct {
		tags        []string
		query, want string
		link        string
	}{
		"All":                     {unsorted, "", `["1.10","1.9","B","a","b"]`, ""},
		"None":                    {nil, "", `[]`, ""},
		"The first page":          {unsorted, "?n=2", `["1.10","1.9"]`, `</v2/ghcr.io/a/tags/list?last=1.9&n=2>; rel="next"`},
		"The last page":           {unsorted, "?n=2&last=a", `["b"]`, ""},
		"A page that just fits":   {unsorted, "?n=2&last=B", `["a","b"]`, ""},
		"As many as there are":    {unsorted, "?n=5", `["1.10","1.9","B","a","b"]`, ""},
		"After what is not there": {unsorted, "?last=1.5", `["1.9","B","a","b"]`, ""},
		"After all":               {unsorted, "?n=2&last=z", `[]`, ""},
		"No tags":                 {unsorted, "?n=0", `[]`, ""},
		"A huge page":             {unsorted, "?n=1000000", `["1.10","1.9","B","a","b"]`, ""},
		"A mirror's page":         {unsorted, "?ns=reg.example:5000&n=1", `["1.10"]`, `</v2/ghcr.io/a/tags/list?last=1.10&n=1&ns=reg.example%3A5000>; rel="next"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, serve(t, &fake{tags: tt.tags}), "GET", "/v2/ghcr.io/a/tags/list"+tt.query)
			if want := `{"name":"ghcr.io/a","tags":` + tt.want + `}`; got.StatusCode != 200 || got.body != want {
				t.Errorf("%d %s, want 200 %s", got.StatusCode, got.body, want)
			}
			if link := got.Header.Get("Link"); link != tt.link {
				t.Errorf("Link: %q, want %q", link, tt.link)
			}
		})
	}
}

func TestHandler_D2_BadPageNumber(t *testing.T) {
	t.Parallel()
	addr := serve(t, &fake{tags: []string{"a"}})
	for _, n := range []string{"-1", "x", "", "1.5", "99999999999999999999", "%zz"} {
		checkRefusal(t, exchange(t, addr, "GET", tagsPath+"?n="+n), 400, "PAGINATION_NUMBER_INVALID", "")
	}
}

// Whoever follows the links sees each tag once.
func TestHandler_D2_LinksLeadToTheEnd(t *testing.T) {
	t.Parallel()
	f := &fake{tags: []string{"a", "b", "c", "d", "e"}}
	addr := serve(t, f)
	var got []string
	for target := tagsPath + "?n=2&ns=docker.io"; target != ""; {
		answer := exchange(t, addr, "GET", target)
		var list tagList
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil {
			t.Fatal(err)
		}
		got = append(got, list.Tags...)
		target, _, _ = strings.Cut(strings.TrimPrefix(answer.Header.Get("Link"), "<"), ">")
		if answer.Header.Get("OCI-Namespace") != "docker.io" {
			t.Errorf("%s lost its namespace", target)
		}
	}
	if diff := cmp.Diff(f.tags, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestHandler_D2_Referrers(t *testing.T) {
	t.Parallel()
	signature := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestDigest, Size: 3, ArtifactType: "example/signature+v1"}
	sbom := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: blobDigest, Size: 4, ArtifactType: "example/sbom",
		Annotations: map[string]string{"a": "<b>"}}
	tests := map[string]struct {
		all    []ocispec.Descriptor
		filter string
		want   []ocispec.Descriptor
	}{
		"All":          {[]ocispec.Descriptor{signature, sbom}, "", []ocispec.Descriptor{signature, sbom}},
		"One type":     {[]ocispec.Descriptor{signature, sbom}, signature.ArtifactType, []ocispec.Descriptor{signature}},
		"Another type": {[]ocispec.Descriptor{signature, sbom}, "example/other", []ocispec.Descriptor{}},
		"None":         {nil, "", []ocispec.Descriptor{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, &fake{referrers: tt.all})
			before := slices.Clone(tt.all)
			target := refsPath
			if tt.filter != "" {
				target += "?artifactType=" + url.QueryEscape(tt.filter)
			}
			got := exchange(t, addr, "GET", target)
			var index ocispec.Index
			if err := json.Unmarshal([]byte(got.body), &index); err != nil {
				t.Fatal(err)
			}
			if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex {
				t.Errorf("not an index: %s", got.body)
			}
			if diff := cmp.Diff(tt.want, index.Manifests); diff != "" {
				t.Errorf("manifests (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.all); diff != "" {
				t.Errorf("the cache's own list changed (-before +after):\n%s", diff)
			}
		})
	}
}

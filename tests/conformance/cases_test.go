package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const getManifestType = ocispec.MediaTypeImageManifest

// suiteCase is a case of the spec's conformance suite that only reads.
type suiteCase struct {
	name   string // the suite's own
	method string
	path   string // see content.fill
	status int
	check  func(*testing.T, *site, answer)
	header []string
}

// neverSeen are the only cases that may fail where the origin does, and then they must: each asks for what the cache has never
// seen, and "there is none" is for the origin alone to say.
var neverSeen = []string{
	"HEAD request to nonexistent blob should result in 404 response",
	"GET nonexistent blob should result in 404 response",
	"GET request to nonexistent blob should result in empty 200 response",
	"empty/referrers",
	"missing-manifest/by-digest",
	"missing-manifest/by-tag",
	"sha256 blobs/get-missing",
}

// pullCases are those of the suite's version 1.1 with Ginkgo, then those that its later form has besides.
var pullCases = []suiteCase{
	{name: "HEAD request to nonexistent blob should result in 404 response", method: "HEAD", path: "blobs/{unknown}", status: 404},
	{name: "HEAD request to existing blob should yield 200", method: "HEAD", path: "blobs/{config}", status: 200, check: named("{config}")},
	{name: "GET nonexistent blob should result in 404 response", method: "GET", path: "blobs/{unknown}", status: 404, check: code("BLOB_UNKNOWN")},
	{name: "GET request to existing blob URL should yield 200", method: "GET", path: "blobs/{config}", status: 200, check: named("{config}")},
	{name: "HEAD request to nonexistent manifest should return 404", method: "HEAD", path: "manifests/.INVALID_MANIFEST_NAME", status: 404},
	{name: "HEAD request to manifest[0] path (digest) should yield 200 response", method: "HEAD", path: "manifests/{manifest}", status: 200, check: named("{manifest}")},
	{name: "HEAD request to manifest[1] path (digest) should yield 200 response", method: "HEAD", path: "manifests/{second}", status: 200, check: named("{second}")},
	{name: "HEAD request to manifest path (tag) should yield 200 response", method: "HEAD", path: "manifests/{tag}", status: 200, check: named("{manifest}")},
	{name: "GET nonexistent manifest should return 404", method: "GET", path: "manifests/.INVALID_MANIFEST_NAME", status: 404, check: code("MANIFEST_UNKNOWN")},
	{name: "GET request to manifest[0] path (digest) should yield 200 response", method: "GET", path: "manifests/{manifest}", status: 200, check: manifestBody},
	{name: "GET request to manifest[1] path (digest) should yield 200 response", method: "GET", path: "manifests/{second}", status: 200, check: named("{second}")},
	{name: "GET request to manifest path (tag) should yield 200 response", method: "GET", path: "manifests/{tag}", status: 200, check: manifestBody},
	{name: "400 response body should contain OCI-conforming JSON message", method: "GET", path: "manifests/sha256:totallywrong", status: 400, check: code("DIGEST_INVALID")},
	{name: "400 response body should contain OCI-conforming JSON message (version 1.0)", method: "PUT", path: "manifests/sha256:totallywrong", status: 400, check: code("DIGEST_INVALID")},

	{name: "missing-manifest/by-digest", method: "GET", path: "manifests/{unknown}", status: 404, check: code("MANIFEST_UNKNOWN")},
	{name: "missing-manifest/by-tag", method: "GET", path: "manifests/{unknown-tag}", status: 404, check: code("MANIFEST_UNKNOWN")},
	{name: "invalid-digest-format/manifest-get", method: "GET", path: "manifests/sha256:baddigeststring", status: 400, check: code("DIGEST_INVALID")},
	{name: "sha256 blobs/get-missing", method: "GET", path: "blobs/{unknown}", status: 404, check: code("BLOB_UNKNOWN")},
	{name: "sha256 blobs/empty/blob-head", method: "HEAD", path: "blobs/{empty}", status: 200, check: length(0)},
	{name: "sha256 blobs/empty/blob-get", method: "GET", path: "blobs/{empty}", status: 200, check: named("{empty}")},
	{name: "sha256 blobs/emptyJSON/blob-head", method: "HEAD", path: "blobs/{json}", status: 200, check: length(2)},
	{name: "sha256 blobs/emptyJSON/blob-get", method: "GET", path: "blobs/{json}", status: 200, check: named("{json}")},
	{name: "range 500-1499", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=500-1499"}, status: 206, check: part(500, 1500)},
	{name: "range 500-", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=500-"}, status: 206, check: part(500, 2048)},
	{name: "range -500", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=-500"}, status: 206, check: part(1548, 2048)},
	{name: "range 2000-5000", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=2000-5000"}, status: 206, check: part(2000, 2048)},
	{name: "range 500-0", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=500-0"}, status: 416, check: code("RANGE_INVALID")},
	{name: "range 5000-10000", method: "GET", path: "blobs/{blob}", header: []string{"Range", "bytes=5000-10000"}, status: 416, check: code("RANGE_INVALID")},
}

var discoveryCases = []suiteCase{
	{name: "GET request to list tags should yield 200 response", method: "GET", path: "tags/list", status: 200, check: allTags},
	{name: "GET number of tags should be limitable by `n` query parameter", method: "GET", path: "tags/list?n=4", status: 200, check: firstTags(4)},
	{name: "GET start of tag is set by `last` query parameter", method: "GET", path: "tags/list?n=4", status: 200, check: nextTags(4)},
	{name: "GET request to nonexistent blob should result in empty 200 response", method: "GET", path: "referrers/{unknown}", status: 200, check: referrers()},
	{name: "GET request to existing blob should yield 200", method: "GET", path: "referrers/{manifest}", status: 200, check: referrers("", typeA, typeA, typeB, typeB)},
	{name: "GET request to existing blob with filter should yield 200", method: "GET", path: "referrers/{manifest}?artifactType=" + typeA, status: 200, check: filtered(typeA, typeA)},
	{name: "GET request to missing manifest should yield 200", method: "GET", path: "referrers/{missing}", status: 200, check: referrers(typeB)},

	{name: "ping", method: "GET", path: "/v2/", status: 200},
	{name: "empty/tag list", method: "GET", path: "tags/list", status: 200, check: allTags},
	{name: "empty/referrers", method: "GET", path: "referrers/{unknown}", status: 200, check: referrers()},
	{name: "read-only/tag-list", method: "GET", path: "tags/list?last=test1", status: 200, check: tagsAfter("test1")},
}

func named(reference string) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		if d := got.Header.Get("Docker-Content-Digest"); d != s.fill(reference) {
			t.Errorf("%s: got digest %q, want %s", got.what, d, s.fill(reference))
		}
	}
}

func manifestBody(t *testing.T, s *site, got answer) {
	t.Helper()
	if !bytes.Equal(got.body, s.image.Body) || got.Header.Get("Content-Type") != s.image.MediaType {
		t.Errorf("%s: got %d bytes of %q, not the origin's manifest", got.what, len(got.body), got.Header.Get("Content-Type"))
	}
}

func code(want string) func(*testing.T, *site, answer) {
	return func(t *testing.T, _ *site, got answer) {
		t.Helper()
		if code := got.code(t); code != want {
			t.Errorf("%s: got code %q, want %q", got.what, code, want)
		}
	}
}

func length(want int) func(*testing.T, *site, answer) {
	return func(t *testing.T, _ *site, got answer) {
		t.Helper()
		if length := got.Header.Get("Content-Length"); length != strconv.Itoa(want) {
			t.Errorf("%s: got Content-Length %q, want %d", got.what, length, want)
		}
	}
}

// part compares a part to the whole, which is asked for afterwards: a cold case must not be warmed by its own check.
func part(start, end int) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		whole := s.ask(t, "GET", in("blobs/{blob}")).want(t, http.StatusOK).body
		got.partOf(t, whole, start, end)
	}
}

// partOf checks a 206 against the bytes that it is a part of.
func (a answer) partOf(t *testing.T, whole []byte, start, end int) {
	t.Helper()
	want := "bytes " + strconv.Itoa(start) + "-" + strconv.Itoa(end-1) + "/" + strconv.Itoa(len(whole))
	if got := a.Header.Get("Content-Range"); got != want || !bytes.Equal(a.body, whole[start:end]) {
		t.Errorf("%s: got Content-Range %q and %d bytes, want %q and those bytes", a.what, got, len(a.body), want)
	}
}

type tagList struct {
	Name string
	Tags []string
}

func (a answer) tags(t *testing.T) []string {
	t.Helper()
	var list tagList
	a.into(t, &list)
	if !slices.IsSorted(list.Tags) {
		t.Errorf("%s: the tags are not in lexical order: %q", a.what, list.Tags)
	}
	return list.Tags
}

func allTags(t *testing.T, s *site, got answer) {
	t.Helper()
	if tags := got.tags(t); !slices.Equal(tags, slices.Sorted(slices.Values(s.tags))) {
		t.Errorf("%s: got the tags %q, the origin has %q", got.what, tags, s.content.tags)
	}
}

func firstTags(n int) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		if tags := got.tags(t); !slices.Equal(tags, slices.Sorted(slices.Values(s.tags))[:n]) {
			t.Errorf("%s: got the tags %q, want the first %d of %q", got.what, tags, n, s.content.tags)
		}
	}
}

func nextTags(n int) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		last := got.tags(t)[n-1]
		next := s.ask(t, "GET", in("tags/list?n="+strconv.Itoa(n)+"&last="+last)).want(t, http.StatusOK).tags(t)
		if want := slices.Sorted(slices.Values(s.content.tags))[n:]; !slices.Equal(next, want[:min(n, len(want))]) {
			t.Errorf("%s: got %q after %q, want the next %d of %q", got.what, next, last, n, want)
		}
	}
}

func tagsAfter(last string) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		all := slices.Sorted(slices.Values(s.content.tags))
		if tags, want := got.tags(t), all[slices.Index(all, last)+1:]; !slices.Equal(tags, want) {
			t.Errorf("%s: got the tags %q, want %q", got.what, tags, want)
		}
	}
}

// referrers checks a list of referrers by the types of its artifacts, in lexical order; the empty one is an index's.
func referrers(want ...string) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		if mediaType := got.Header.Get("Content-Type"); mediaType != ocispec.MediaTypeImageIndex {
			t.Errorf("%s: got the type %q, want an index", got.what, mediaType)
		}
		var index ocispec.Index
		got.into(t, &index)
		if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex || index.Manifests == nil {
			t.Errorf("%s: %s is not an index", got.what, oneLine(got.body))
		}
		var types []string
		for _, d := range index.Manifests {
			types = append(types, d.ArtifactType)
			s.isReferrer(t, d)
		}
		slices.Sort(types)
		if slices.Sort(want); !slices.Equal(types, want) {
			t.Errorf("%s: got artifacts of the types %q, want %q", got.what, types, want)
		}
	}
}

// isReferrer checks a descriptor of a list against what was pushed.
func (s *site) isReferrer(t *testing.T, d ocispec.Descriptor) {
	t.Helper()
	for _, img := range append(slices.Clone(s.content.referrers), s.lone) {
		if img.Digest != d.Digest {
			continue
		}
		value, annotated := d.Annotations[annotation]
		if d.Size != img.Size || d.MediaType != img.MediaType || len(d.Annotations) != 1 || !annotated || value != "" {
			t.Errorf("referrer %s is listed as %+v", img.Digest, d)
		}
		return
	}
	t.Errorf("%s is listed, and never referred to anything", d.Digest)
}

func filtered(want ...string) func(*testing.T, *site, answer) {
	return func(t *testing.T, s *site, got answer) {
		t.Helper()
		if applied := got.Header.Get("OCI-Filters-Applied"); applied != "artifactType" {
			t.Errorf("%s: got OCI-Filters-Applied %q, want artifactType", got.what, applied)
		}
		referrers(want...)(t, s, got)
	}
}

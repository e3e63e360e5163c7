package conformance

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/tests/origin"
)

// parityPaths are asked by HEAD and by GET.
var parityPaths = map[string]string{
	"The base":                      "/v2/",
	"A manifest by tag":             in("manifests/{tag}"),
	"A manifest by digest":          in("manifests/{manifest}"),
	"A blob":                        in("blobs/{blob}"),
	"A config":                      in("blobs/{config}"),
	"A blob of no bytes":            in("blobs/{empty}"),
	"A list of tags":                in("tags/list"),
	"A page of tags":                in("tags/list?n=2"),
	"Referrers":                     in("referrers/{manifest}"),
	"Referrers of one type":         in("referrers/{manifest}?artifactType=" + typeA),
	"A missing manifest":            in("manifests/missing"),
	"A missing blob":                in("blobs/sha256:0123456789012345678901234567890123456789012345678901234567890123"),
	"A malformed digest":            in("blobs/sha256:totallywrong"),
	"A malformed name":              "/v2/" + repository + "/UPPER/manifests/1",
	"No endpoint":                   in("nothing"),
	"Outside":                       "/elsewhere",
	"A mirror's manifest":           "/v2/" + repository + "/manifests/{tag}?ns=reg.example",
	"A mirror's blob":               "/v2/" + repository + "/blobs/{blob}?ns=reg.example",
	"A mirror's missing manifest":   "/v2/" + repository + "/manifests/missing?ns=reg.example",
	"A mirror's malformed manifest": "/v2/" + repository + "/manifests/sha256:x?ns=reg.example",
}

// TestConformance_HeadSaysWhatGetSays compares every field of the header. Cold, either is the first request to a process of its
// own; then one process answers both in every state.
func TestConformance_HeadSaysWhatGetSays(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	t.Run("cold, each alone", func(t *testing.T) {
		for name, path := range parityPaths {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				head := newSite(t, c).ask(t, "HEAD", path)
				get := newSite(t, c).ask(t, "GET", path)
				if head.StatusCode == http.StatusOK && regexp.MustCompile("/blobs/").MatchString(path) {
					// The one difference that is true: HEAD of a blob stores nothing (T1).
					unstored(t, head, "larder; fwd=uri-miss")
					unstored(t, get, "larder; fwd=uri-miss; stored")
				}
				compareHeaders(t, head, get)
			})
		}
	})
	s := newSite(t, c, everyTagChecked)
	s.inEveryState(t, func(t *testing.T, st state) {
		for name, path := range parityPaths {
			get := s.ask(t, "GET", path)
			head := s.ask(t, "HEAD", path)
			if st.name == "cold" {
				continue // the second is warm
			}
			t.Run(name, func(t *testing.T) { compareHeaders(t, head, get) })
		}
	})
}

func unstored(t *testing.T, got answer, want string) {
	t.Helper()
	if status := got.Header.Get("Cache-Status"); status != want {
		t.Errorf("%s: got Cache-Status %q, want %q", got.what, status, want)
	}
	got.Header.Del("Cache-Status")
}

var seconds = regexp.MustCompile(`ttl=\d+`)

func compareHeaders(t *testing.T, head, get answer) {
	t.Helper()
	if head.StatusCode != get.StatusCode {
		t.Errorf("%s: got status %d, GET has %d", head.what, head.StatusCode, get.StatusCode)
	}
	if length, told := head.Header["Content-Length"]; head.StatusCode >= 400 {
		// RFC 9110, 9.3.2: it must be GET's or not be there, and what the origin says to GET is not known.
		if told {
			t.Errorf("%s: got Content-Length %q of an error that GET alone would tell", head.what, length)
		}
		get.Header.Del("Content-Length")
	}
	if diff := cmp.Diff(comparable(get.Header), comparable(head.Header)); diff != "" {
		t.Errorf("%s: HEAD has another header (-GET +HEAD):\n%s", get.what, diff)
	}
}

// comparable leaves out what passing time changes.
func comparable(header http.Header) http.Header {
	same := header.Clone()
	same.Del("Date")
	if status := same.Get("Cache-Status"); status != "" {
		same.Set("Cache-Status", seconds.ReplaceAllString(status, "ttl=N"))
	}
	if same.Get("Retry-After") != "" {
		same.Set("Retry-After", "N")
	}
	return same
}

// TestConformance_HeadCostsNoBody holds that what HEAD asks for is not transferred.
func TestConformance_HeadCostsNoBody(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	s := newSite(t, c)
	for _, blob := range []string{"{blob}", "{config}", "{empty}"} {
		s.ask(t, "HEAD", in("blobs/"+blob)).want(t, 200)
	}
	if n := c.origin.Count(origin.Blobs().By("GET")); n != 0 {
		t.Errorf("the origin was asked for %d bodies, want none", n)
	}
}

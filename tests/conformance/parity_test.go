package conformance

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/tests/origin"
)

// parityPaths are asked by HEAD and by GET. No blob comes twice: HEAD stores none.
var parityPaths = []string{
	"/v2/",
	in("manifests/{tag}"),
	in("manifests/{second}"),
	in("blobs/{blob}"),
	in("blobs/{config}"),
	in("blobs/{empty}"),
	in("tags/list"),
	in("tags/list?n=2"),
	in("referrers/{manifest}"),
	in("referrers/{manifest}?artifactType=" + typeA),
	in("manifests/missing"),
	in("blobs/sha256:0123456789012345678901234567890123456789012345678901234567890123"),
	in("referrers/sha256:0123456789012345678901234567890123456789012345678901234567890123"),
	in("blobs/sha256:totallywrong"),
	in("nothing"),
	"/v2/reg.example/UPPER/manifests/1",
	"/elsewhere",
	mirror("manifests/test1"),
	mirror("blobs/{json}"),
	mirror("manifests/missing-too"),
	mirror("manifests/sha256:x"),
}

// TestConformance_HeadSaysWhatGetSays compares every field of the header. Cold, two processes with the same past are asked, one
// by HEAD and one by GET; afterwards one process both ways.
func TestConformance_HeadSaysWhatGetSays(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	byHead, s := newSite(t, c, everyTagChecked), newSite(t, c, everyTagChecked)
	s.inEveryState(t, func(t *testing.T, st state) {
		for _, path := range parityPaths {
			t.Run(path, func(t *testing.T) {
				asked := s
				if st.name == "cold" {
					asked = byHead
				}
				if st.name == "warm" { // a list of nothing is kept in memory only, and the process is a new one
					s.ask(t, "GET", path)
				}
				head, get := asked.ask(t, "HEAD", path), s.ask(t, "GET", path)
				if st.name == "cold" && strings.Contains(path, "/blobs/") && head.StatusCode == http.StatusOK {
					// The one difference that is true: HEAD of a blob stores nothing (T1).
					withoutStatus(t, head, "larder; fwd=uri-miss")
					withoutStatus(t, get, "larder; fwd=uri-miss; stored")
				}
				compareHeaders(t, head, get)
			})
		}
	})
}

func withoutStatus(t *testing.T, got answer, want string) {
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

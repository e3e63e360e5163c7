package conformance

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
)

// conditions are what a client makes of an entity tag that it has: TAG stands for the right one.
var conditions = map[string]struct {
	header []string
	status int // for content with that tag
}{
	"The same":             {[]string{"If-None-Match", "TAG"}, 304},
	"The same, weak":       {[]string{"If-None-Match", "W/TAG"}, 304},
	"Any":                  {[]string{"If-None-Match", "*"}, 304},
	"In a list":            {[]string{"If-None-Match", `"x", TAG, W/"y"`}, 304},
	"In a list, weak":      {[]string{"If-None-Match", `"x",W/TAG`}, 304},
	"In a second line":     {[]string{"If-None-Match", `"x"`, "If-None-Match", "TAG"}, 304},
	"Another":              {[]string{"If-None-Match", `"x"`}, 200},
	"Without quotes":       {[]string{"If-None-Match", "BARE"}, 200},
	"Empty":                {[]string{"If-None-Match", ""}, 200},
	"A range of the same":  {[]string{"If-Range", "TAG", "Range", "bytes=1-5"}, 206},
	"A range of a weak":    {[]string{"If-Range", "W/TAG", "Range", "bytes=1-5"}, 200},
	"A range of another":   {[]string{"If-Range", `"x"`, "Range", "bytes=1-5"}, 200},
	"A range by date":      {[]string{"If-Range", "Sat, 29 Oct 1994 19:43:31 GMT", "Range", "bytes=1-5"}, 200},
	"Before a range":       {[]string{"If-None-Match", "TAG", "Range", "bytes=1-5"}, 304},
	"Another with a range": {[]string{"If-None-Match", `"x"`, "Range", "bytes=1-5"}, 206},
}

func TestConformance_Conditions(t *testing.T) {
	t.Parallel()
	s := newSite(t, newContent(t), everyTagChecked)
	s.inEveryState(t, func(t *testing.T, _ state) {
		for _, path := range []string{"blobs/{config}", "manifests/{manifest}", "manifests/{tag}", "tags/list", "referrers/{manifest}"} {
			plain := s.ask(t, "GET", in(path)).want(t, 200)
			for name, cond := range conditions {
				t.Run(name+", "+path, func(t *testing.T) { s.conditional(t, in(path), plain, cond.header, cond.status) })
			}
		}
	})
}

// TestConformance_ConditionsOnWhatIsNotStored gives each case an image of its own.
func TestConformance_ConditionsOnWhatIsNotStored(t *testing.T) {
	t.Parallel()
	s := newSite(t, newContent(t))
	for name, cond := range conditions {
		t.Run(name, func(t *testing.T) {
			img := s.origin.Push(t, repository, origin.RandomImage(1, 2048))
			for path, dgst := range map[string]digest.Digest{
				in("blobs/" + img.Blobs[1].Digest.String()): img.Blobs[1].Digest,
				in("manifests/" + img.Digest.String()):      img.Digest,
			} {
				got := s.ask(t, "GET", path, withTag(cond.header, dgst.String())...).want(t, cond.status)
				if etag := got.Header.Get("Etag"); etag != `"`+dgst.String()+`"` {
					t.Errorf("%s: got ETag %q", got.what, etag)
				}
			}
		})
	}
}

func withTag(header []string, tag string) []string {
	filled := make([]string, len(header))
	for i, value := range header {
		filled[i] = strings.NewReplacer("TAG", `"`+tag+`"`, "BARE", tag).Replace(value)
	}
	return filled
}

func (s *site) conditional(t *testing.T, path string, plain answer, header []string, status int) {
	header = withTag(header, strings.Trim(plain.Header.Get("Etag"), `"`))
	got := s.ask(t, "GET", path, header...).want(t, status)
	for _, name := range []string{"Etag", "Docker-Content-Digest"} {
		if got.Header.Get(name) != plain.Header.Get(name) {
			t.Errorf("%s: got %s %q, without the condition %q", got.what, name, got.Header.Get(name), plain.Header.Get(name))
		}
	}
	switch status {
	case 200:
		if !bytes.Equal(got.body, plain.body) {
			t.Errorf("%s: got %d bytes, not the whole", got.what, len(got.body))
		}
	case 206:
		got.partOf(t, plain.body, 1, 6)
	}
	head := s.ask(t, "HEAD", path, header...)
	if status == 206 {
		status = 200 // a range means nothing to HEAD
	}
	head.want(t, status)
}

// TestConformance_NoConditionOnWhatIsMissing holds that "*" matches nothing where there is nothing.
func TestConformance_NoConditionOnWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, newContent(t))
	for _, path := range []string{"blobs/{unknown}", "manifests/{unknown}", "manifests/{unknown-tag}"} {
		s.ask(t, "GET", in(path), "If-None-Match", "*").want(t, 404)
	}
}

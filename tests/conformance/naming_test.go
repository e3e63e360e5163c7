package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// mirror is the path of what lies in the repository, as containerd asks a mirror for it.
func mirror(rest string) string { return "/v2/" + repository + "/" + rest + "?ns=" + process.Host }

// TestConformance_BothNamings holds that a mirror's form and the path form name the same, in every state.
func TestConformance_BothNamings(t *testing.T) {
	forEveryOrigin(t, func(t *testing.T, c *content) {
		s := newSite(t, c)
		s.inEveryState(t, func(t *testing.T, _ state) {
			for _, path := range []string{
				"manifests/{tag}", "manifests/{manifest}", "blobs/{blob}", "blobs/{config}", "blobs/{empty}", "referrers/{manifest}",
			} {
				got := s.ask(t, "GET", mirror(path)).want(t, 200)
				if ns := got.Header.Get("OCI-Namespace"); ns != process.Host {
					t.Errorf("%s: got OCI-Namespace %q", got.what, ns)
				}
				same := s.ask(t, "GET", in(path)).want(t, 200)
				if !bytes.Equal(got.body, same.body) || same.Header.Values("OCI-Namespace") != nil {
					t.Errorf("%s: got another body, or OCI-Namespace %q in path form", same.what, same.Header.Get("OCI-Namespace"))
				}
			}
			self := "/v2/" + process.Host + "/" + repository + "/manifests/{tag}?ns=" + s.larder.Addr
			if got := s.ask(t, "GET", self).want(t, 200); got.Header.Get("Docker-Content-Digest") != c.image.Digest.String() {
				t.Errorf("%s: got digest %q", got.what, got.Header.Get("Docker-Content-Digest"))
			}
		})
	})
}

// forbidden are the answers to which containerd would retry here, instead of going on to the origin.
var forbidden = []int{http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests}

// TestConformance_MirrorsNeverHoldAClientBack has the origin fail in every way that has a status, for what is not stored.
func TestConformance_MirrorsNeverHoldAClientBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change     func(*origin.Origin)
		path, form int // the status in path form, and in a mirror's
	}{
		"401":  {answers(401), 403, 403},
		"403":  {answers(403), 403, 403},
		"404":  {answers(404), 404, 404},
		"408":  {answers(408), 502, 502},
		"429":  {answers(429, "Retry-After", retryAfter), 429, 503},
		"500":  {answers(500), 502, 502},
		"503":  {answers(503, "Retry-After", retryAfter), 502, 502},
		"Down": {func(o *origin.Origin) { o.Refuse() }, 502, 502},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContent(t)
			s := newSite(t, c)
			tt.change(c.origin)
			for _, path := range []string{"manifests/{tag}", "manifests/{manifest}", "blobs/{blob}", "manifests/{unknown}"} {
				for _, method := range []string{"GET", "HEAD"} {
					got := s.ask(t, method, mirror(path)).want(t, tt.form)
					if slices.Contains(forbidden, got.StatusCode) || got.Header.Get("OCI-Namespace") != process.Host {
						t.Errorf("%s: got status %d and OCI-Namespace %q", got.what, got.StatusCode, got.Header.Get("OCI-Namespace"))
					}
					s.ask(t, method, in(path)).want(t, tt.path)
				}
			}
		})
	}
}

func answers(status int, header ...string) func(*origin.Origin) {
	return func(o *origin.Origin) { o.Fail(origin.Everything(), origin.Status(status, header...)) }
}

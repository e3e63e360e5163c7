package conformance

import (
	"bytes"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// TestConformance_EveryBodyHashed reads everything that the origin holds, by every name that it has. Digests and lengths are
// checked by ask; the manifests are compared to the origin's bytes besides.
func TestConformance_EveryBodyHashed(t *testing.T) {
	forEveryOrigin(t, func(t *testing.T, c *content) {
		s := newSite(t, c, everyTagChecked)
		s.inEveryState(t, func(t *testing.T, _ state) {
			for _, img := range c.images() {
				s.readWhole(t, img)
			}
		})
	})
}

func (s *site) readWhole(t *testing.T, img origin.Image) {
	t.Helper()
	references := []string{img.Digest.String()}
	if img.Tag != "" {
		references = append(references, img.Tag)
	}
	for _, reference := range references {
		got := s.ask(t, "GET", in("manifests/"+reference)).want(t, 200)
		if !bytes.Equal(got.body, img.Body) || got.Header.Get("Content-Type") != img.MediaType {
			t.Errorf("%s: not the origin's bytes, or of the type %q", got.what, got.Header.Get("Content-Type"))
		}
	}
	for _, b := range img.Blobs {
		got := s.ask(t, "GET", in("blobs/"+b.Digest.String())).want(t, 200)
		if d := got.Header.Get("Docker-Content-Digest"); d != b.Digest.String() || int64(len(got.body)) != b.Size {
			t.Errorf("%s: got digest %q and %d bytes, want %d", got.what, d, len(got.body), b.Size)
		}
	}
}

// accepts are what clients say they would take. None of it changes what they get: a digest is a digest.
var accepts = map[string][]string{
	"Nothing said":      nil,
	"Anything":          {"Accept", "*/*"},
	"Docker types only": {"Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"},
	"OCI manifest only": {"Accept", "application/vnd.oci.image.manifest.v1+json"},
	"Several lines":     {"Accept", "application/vnd.oci.image.index.v1+json", "Accept", "text/html;q=0.1"},
	"Nothing of ours":   {"Accept", "image/png"},
	"Refused by weight": {"Accept", "*/*;q=0"},
	"Nonsense":          {"Accept", ";;,=/"},
	"Compressed":        {"Accept-Encoding", "gzip, zstd"},
}

// TestConformance_AnyAcceptTheSameBytes also looks at what the origin is asked with: the same, whatever the client's.
func TestConformance_AnyAcceptTheSameBytes(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	t.Cleanup(func() {
		asked := map[string]bool{}
		for _, r := range c.origin.Requests(origin.Manifests()) {
			asked[r.Header.Get("Accept")] = true
		}
		if len(asked) != 1 {
			t.Errorf("the origin was asked with %d sorts of Accept, want one: %v", len(asked), asked)
		}
	})
	for name, header := range accepts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c)
			for _, state := range []string{"cold", "warm"} {
				t.Log(state)
				for _, img := range append([]origin.Image{c.image}, c.others...) {
					for _, path := range []string{in("manifests/" + img.Tag), in("manifests/" + img.Digest.String())} {
						got := s.ask(t, "GET", path, header...).want(t, 200)
						if !bytes.Equal(got.body, img.Body) || got.Header.Get("Content-Type") != img.MediaType {
							t.Errorf("%s: not the origin's bytes, or of the type %q", got.what, got.Header.Get("Content-Type"))
						}
					}
				}
				for _, path := range []string{"blobs/{blob}", "tags/list", "referrers/{manifest}"} {
					got := s.ask(t, "GET", in(path), header...).want(t, 200)
					if encoding := got.Header.Get("Content-Encoding"); encoding != "" {
						t.Errorf("%s: got Content-Encoding %q", got.what, encoding)
					}
				}
			}
		})
	}
}

package faults

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestHostile_B4_AnOriginThatLiesAboutADigest serves good content under the digest of other content.
func TestHostile_B4_AnOriginThatLiesAboutADigest(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	s := l.site(t)
	image := l.image(t, "", []byte("evil"))
	evil := l.contents["manifests/"+image.Digest.String()]
	wanted := digest.FromString("what the client wants")
	layer := bytes.Repeat([]byte("evil"), 100_000)
	for _, test := range []struct {
		name, path string
		lie        lie
		want       want
	}{
		{"A manifest, with the header of the wanted one", "manifests/", lie{mediaType: evil.mediaType, body: evil.body, claimed: wanted}, badGateway},
		{"A manifest, with its own header", "manifests/", lie{mediaType: evil.mediaType, body: evil.body}, badGateway},
		{"A blob, with the header of the wanted one", "blobs/", lie{body: layer, claimed: wanted}, brokenOff},
		{"A blob without a length", "blobs/", lie{body: layer, claimed: wanted, unsized: true}, brokenOff},
		{"An empty blob", "blobs/", lie{claimed: wanted}, badGateway},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Each in a process of its own: T9 remembers the failure before.
			s := l.site(t)
			l.set(test.path+wanted.String(), test.lie)
			test.want.check(t, ask(t, http.MethodGet, s.here()+"/"+test.path+wanted.String()), wanted)
			if got := s.holdsOnlyWhole(t); got != 0 {
				t.Errorf("the store holds %d blobs, want none", got)
			}
			if got := s.metric(t, `larder_digest_mismatches_total{host="`+process.Host+`"}`); got < 1 {
				t.Errorf("%v mismatches are counted", got)
			}
		})
	}
	l.set("manifests/tag", lie{mediaType: evil.mediaType, body: evil.body, claimed: wanted})
	badGateway.check(t, ask(t, http.MethodGet, s.here()+"/manifests/tag"), wanted)
	if got := s.holdsOnlyWhole(t); got != 0 {
		t.Errorf("the store holds %d blobs, want none", got)
	}
}

// TestHostile_B5_AFalseSizeHarmsNobodyElse has one repository's manifest name another one's blob with a size that it has not.
func TestHostile_B5_AFalseSizeHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	good, l := origin.New(t), newLiar(t)
	s := newSite(t, "registries:", registry("good.example", good), registryAt("evil.example", l.url))
	img := good.Push(t, "app:1", origin.RandomImage(1, layerSize))
	base, evil := s.url("good.example", "app"), s.url("evil.example", liarRepository)
	pull(t, base, img)

	layer := img.Blobs[1]
	layer.Size -= 7
	body := encode(t, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: img.Blobs[0], Layers: []ocispec.Descriptor{layer}})
	m := l.manifest("1", ocispec.MediaTypeImageManifest, body)
	l.set("blobs/"+layer.Digest.String(), lie{body: make([]byte, layer.Size), claimed: layer.Digest})
	whole.check(t, ask(t, http.MethodGet, evil+"/manifests/1"), m.Digest)
	if a := ask(t, http.MethodGet, evil+"/blobs/"+layer.Digest.String()); a.err == nil && a.status == http.StatusOK {
		t.Errorf("got %v", a)
	}
	good.Refuse()
	pull(t, base, img)
	if got := s.metric(t, "larder_damaged_blobs_total"); got != 0 {
		t.Errorf("%v blobs are counted as damaged", got)
	}
}

// TestHostile_HeaderBombsFromAnOrigin has the origin answer with headers of many megabytes.
func TestHostile_HeaderBombsFromAnOrigin(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	s := l.site(t)
	body := []byte(`{"schemaVersion":2}`)
	many := make([]string, 100_000)
	for i := range many {
		many[i] = "one more"
	}
	for _, test := range []struct {
		name string
		lie  lie
	}{
		{"One field of 1 MiB", lie{header: http.Header{"X-Bomb": {strings.Repeat("a", 1<<20)}}}},
		{"One field of 64 MiB", lie{header: http.Header{"X-Bomb": {strings.Repeat("a", 64<<20)}}}},
		{"A hundred thousand fields", lie{header: http.Header{"X-Bomb": many}}},
		{"A media type of 1 MiB", lie{mediaType: "application/" + strings.Repeat("a", 1<<20)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.lie.body = body
			tag := strings.ReplaceAll(test.name, " ", "-")
			l.set("manifests/"+tag, test.lie)
			badGateway.check(t, ask(t, http.MethodGet, s.here()+"/manifests/"+tag), "")
			l.set("blobs/"+digest.FromString(tag).String(), lie{header: test.lie.header, mediaType: test.lie.mediaType, body: []byte(tag)})
			badGateway.check(t, ask(t, http.MethodGet, s.here()+"/blobs/"+digest.FromString(tag).String()), "")
		})
	}
	if got := s.holdsOnlyWhole(t); got != 0 {
		t.Errorf("the store holds %d blobs, want none", got)
	}
	if got := s.megabytes(t); got > sane {
		t.Errorf("the process takes %d MB", got)
	}
	// A registry with many ordinary headers is no bomb.
	policy := strings.Repeat("default-src 'self' https://registry.example; ", 300)
	l.set("manifests/ordinary", lie{body: body, header: http.Header{"Content-Security-Policy": {policy}}})
	whole.check(t, ask(t, http.MethodGet, s.here()+"/manifests/ordinary"), digest.FromBytes(body))
}

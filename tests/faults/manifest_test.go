package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/process"
)

const (
	maxManifest = 4 << 20
	// sane is the most memory that a process may take, whatever its origin serves.
	sane = 200
)

func TestHostile_T1_AManifestOf4MiBAndNoMore(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	s := l.site(t)
	for _, test := range []struct {
		name    string
		size    int
		unsized bool
		want    want
	}{
		{"4 MiB", maxManifest, false, whole},
		{"4 MiB in chunks", maxManifest, true, whole},
		{"One byte more", maxManifest + 1, false, badGateway},
		{"One byte more in chunks", maxManifest + 1, true, badGateway},
		{"64 MiB in chunks", 16 * maxManifest, true, badGateway},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := encode(t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Annotations: map[string]string{"test": test.name}})
			body = append(body, bytes.Repeat([]byte(" "), test.size-len(body))...)
			dgst, tag := digest.FromBytes(body), strings.ReplaceAll(test.name, " ", "-")
			for _, reference := range []string{tag, dgst.String()} {
				l.set("manifests/"+reference, lie{mediaType: ocispec.MediaTypeImageIndex, body: body, unsized: test.unsized})
				test.want.check(t, ask(t, http.MethodGet, s.here()+"/manifests/"+reference), dgst)
			}
			if got := s.stores(t, dgst); got != test.want.isWhole() {
				t.Errorf("it is stored: %v", got)
			}
		})
	}
	if got := s.megabytes(t); got > sane {
		t.Errorf("the process takes %d MB", got)
	}
}

func TestHostile_M1_AnIndexOfTenThousandEntries(t *testing.T) {
	t.Parallel()
	const entries = 10_000
	l := newLiar(t)
	s := l.site(t)
	child := l.image(t, "", []byte("the layer of the one platform that is wanted"))
	var children []ocispec.Descriptor
	for i := range entries {
		children = append(children, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint("never served ", i)), Size: 1000,
			Platform: &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("arch", i)},
		})
	}
	child.Platform = &ocispec.Platform{OS: "linux", Architecture: "riscv64"}
	children[entries/2] = child
	index := l.index(t, "big", children...)
	whole.check(t, ask(t, http.MethodGet, s.here()+"/manifests/big"), index.Digest)
	out, err := s.Run(t, "pull", "--platform", "linux/riscv64", process.Host+"/app:big")
	if err != nil || !strings.Contains(out, index.Digest.String()) {
		t.Errorf("larder pull: %v\n%s", err, out)
	}
	if got := len(l.requests()); got > 10 {
		t.Errorf("the origin was asked %d times", got)
	}
	// Index, manifest, config, layer.
	if got := s.holdsOnlyWhole(t); got != 4 {
		t.Errorf("the store holds %d blobs, want 4", got)
	}
	if got := s.megabytes(t); got > sane {
		t.Errorf("the process takes %d MB", got)
	}
}

func TestHostile_M1_EveryEntryOfALargeIndexIsMissing(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	s := l.site(t)
	var children []ocispec.Descriptor
	for i := range 500 {
		children = append(children, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint("missing ", i)), Size: 1000,
		})
	}
	l.index(t, "holes", children...)
	s.pullFails(t, "holes", children[0].Digest.String(), "404")
}

// TestHostile_M1_MirrorsEnd has images whose manifests do not come to an end.
func TestHostile_M1_MirrorsEnd(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	s := l.site(t)
	leaf := l.image(t, "", []byte("at the bottom"))
	deep := leaf
	for range 50 {
		deep = l.index(t, "", deep)
	}
	l.index(t, "deep", deep)

	// A digest cannot name itself: a cycle takes an origin that lies about one.
	inner := digest.FromString("the index that names the outer one")
	outer := l.index(t, "cycle", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: inner, Size: 1})
	body := encode(t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{outer}})
	l.set("manifests/"+inner.String(), lie{mediaType: ocispec.MediaTypeImageIndex, body: body, claimed: inner})

	l.manifest("json", ocispec.MediaTypeImageIndex, []byte(`{"manifests":`+strings.Repeat("[", 1<<20)+strings.Repeat("]", 1<<20)+`}`))
	l.index(t, "twice", leaf, leaf, l.index(t, "", leaf, leaf))

	for _, test := range []struct {
		name, tag string
		words     []string // of the message; none: it succeeds
	}{
		{"Indexes 50 deep", "deep", []string{"more than", "deep"}},
		{"A cycle", "cycle", []string{inner.String(), "digest", "expected"}},
		{"JSON a million deep", "json", []string{"no manifest"}},
		{"The same child many times", "twice", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.words != nil {
				s.pullFails(t, test.tag, test.words...)
				return
			}
			if out, err := s.Run(t, "pull", process.Host+"/app:"+test.tag); err != nil {
				t.Errorf("larder pull: %v\n%s", err, out)
			}
		})
	}
	s.holdsOnlyWhole(t)
}

// pullFails fails the test unless larder pull ends with an error that holds the words.
func (s *site) pullFails(t *testing.T, tag string, words ...string) {
	t.Helper()
	out, err := s.Run(t, "pull", process.Host+"/"+liarRepository+":"+tag)
	if err == nil || strings.Contains(err.Error(), "signal") || !containsAll(out, words) {
		t.Errorf("larder pull: got %v, want an error with %q:\n%s", err, words, out[:min(len(out), 2000)])
	}
}

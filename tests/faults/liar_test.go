package faults

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/process"
)

// liar is an origin that serves what no registry would take: any bytes under any name, and headers of any size.
type liar struct {
	url string

	mu       sync.Mutex
	contents map[string]lie // by "manifests/1", "blobs/sha256:..."
	asked    []string
}

type lie struct {
	mediaType string
	body      []byte
	claimed   digest.Digest // what Docker-Content-Digest says; empty: the truth
	header    http.Header
	unsized   bool // sent in chunks
}

const liarRepository = "app"

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{contents: map[string]lie{}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// site starts a process by which process.Host is the liar.
func (l *liar) site(t *testing.T, lines ...string) *site {
	t.Helper()
	return newSite(t, append(append(lines, "registries:"), registryAt(process.Host, l.url))...)
}

func (l *liar) set(name string, c lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.contents[name] = c
}

// manifest serves a manifest under its digest and, where that is not empty, a tag. It returns its descriptor.
func (l *liar) manifest(tag, mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	l.set("manifests/"+d.Digest.String(), lie{mediaType: mediaType, body: body})
	if tag != "" {
		l.set("manifests/"+tag, lie{mediaType: mediaType, body: body})
	}
	return d
}

func (l *liar) blob(body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(body), Size: int64(len(body))}
	l.set("blobs/"+d.Digest.String(), lie{mediaType: "application/octet-stream", body: body})
	return d
}

// image serves an image with one layer, under a tag where that is not empty.
func (l *liar) image(t *testing.T, tag string, layer []byte) ocispec.Descriptor {
	t.Helper()
	config := l.blob([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"}}`))
	config.MediaType = ocispec.MediaTypeImageConfig
	return l.manifest(tag, ocispec.MediaTypeImageManifest, encode(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{l.blob(layer)},
	}))
}

func (l *liar) index(t *testing.T, tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	return l.manifest(tag, ocispec.MediaTypeImageIndex, encode(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}))
}

func (l *liar) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/v2/"+liarRepository+"/")
	l.mu.Lock()
	c, found := l.contents[name]
	l.asked = append(l.asked, r.Method+" "+name)
	l.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	if c.claimed == "" {
		c.claimed = digest.FromBytes(c.body)
	}
	maps.Copy(w.Header(), c.header)
	w.Header().Set("Docker-Content-Digest", c.claimed.String())
	if c.mediaType != "" {
		w.Header().Set("Content-Type", c.mediaType)
	}
	if !c.unsized {
		w.Header().Set("Content-Length", strconv.Itoa(len(c.body)))
	}
	_, _ = w.Write(c.body) // a client that goes is what some tests want
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// here is the address of the liar's repository at a site.
func (s *site) here() string { return s.url(process.Host, liarRepository) }

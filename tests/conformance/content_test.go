package conformance

import (
	"crypto/rand"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
)

const (
	repository = "conformance/data"
	tag        = "tagtest0" // the suite's own

	typeA      = "application/vnd.nhl.peanut.butter.bagel" // the suite's own
	typeB      = "application/vnd.nba.strawberry.jam.croissant"
	annotation = "org.opencontainers.conformance.test"
)

// content is an origin with all that the cases ask for.
type content struct {
	origin    *origin.Origin
	image     origin.Image // under tag; its layers: one of 2048 bytes, one of none, one of "{}"
	second    origin.Image // by digest only
	referrers []origin.Image
	missing   digest.Digest // of a subject that was never pushed
	lone      origin.Image  // refers to missing
	others    []origin.Image
	tags      []string
	called    []string // names and what they stand for, in turn: see fill
}

func newContent(t *testing.T, opts ...origin.Option) *content {
	t.Helper()
	o := origin.New(t, opts...)
	c := &content{origin: o, missing: digest.FromString("never pushed " + rand.Text())}
	base := withLayers(t, origin.RandomImage(1, 2048), nil, []byte("{}"))
	c.image = o.Push(t, repository+":"+tag, base)
	for _, tag := range []string{"test0", "test1", "test2", "test3"} {
		o.Push(t, repository+":"+tag, base)
	}
	c.second = o.Push(t, repository, origin.RandomImage(1, 2048))
	for name, content := range map[string]remote.Taggable{
		"schema2": origin.RandomDockerImage(1, 2048),
		"index":   origin.RandomIndex(1, 2048, "linux/amd64", "linux/arm64"),
		"list":    origin.RandomDockerList(1, 2048, "linux/amd64", "linux/arm/v7"),
		"nested":  mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: origin.RandomIndex(1, 2048, "linux/s390x")}),
	} {
		c.others = append(c.others, o.Push(t, repository+":"+name, content))
	}
	c.refer(t)
	c.tags = c.originTags(t)
	blobs := c.image.Blobs
	c.called = []string{
		"{tag}", tag, "{manifest}", c.image.Digest.String(), "{second}", c.second.Digest.String(), "{missing}", c.missing.String(),
		"{config}", blobs[0].Digest.String(), "{blob}", blobs[1].Digest.String(),
		"{empty}", blobs[2].Digest.String(), "{json}", blobs[3].Digest.String(),
	}
	return c
}

// refer pushes what refers to the image, and to a subject that is not there.
func (c *content) refer(t *testing.T) {
	for _, artifactType := range []string{typeA, typeA, typeB, typeB} {
		c.referrers = append(c.referrers, c.origin.Push(t, repository, artifact(t, c.image, artifactType)))
	}
	c.referrers = append(c.referrers, c.origin.Push(t, repository, refer(t, empty.Index, c.image)))
	subject := origin.Image{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: c.missing, Size: 123}}
	c.lone = c.origin.Push(t, repository, artifact(t, subject, typeB))
}

func artifact(t *testing.T, subject origin.Image, artifactType string) remote.Taggable {
	t.Helper()
	return refer(t, origin.Artifact(subject, artifactType), subject)
}

// refer gives content a subject and one annotation, which the suite looks for in the list. It is empty because in its
// read-only mode the suite does not know another.
func refer(t *testing.T, content partial.WithRawManifest, subject origin.Image) remote.Taggable {
	t.Helper()
	hash, err := v1.NewHash(subject.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Subject(mutate.Annotations(content, map[string]string{annotation: ""}), v1.Descriptor{
		MediaType: types.MediaType(subject.MediaType), Size: subject.Size, Digest: hash,
	})
}

func withLayers(t *testing.T, img v1.Image, layers ...[]byte) v1.Image {
	t.Helper()
	for _, layer := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer(layer, types.OCIUncompressedLayer)); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// images are all that have a body to compare, children of indexes included.
func (c *content) images() []origin.Image {
	all := []origin.Image{c.image, c.second, c.lone}
	all = append(all, c.referrers...)
	for _, img := range c.others {
		all = append(all, flatten(img)...)
	}
	return all
}

func flatten(img origin.Image) []origin.Image {
	all := []origin.Image{img}
	for _, child := range img.Manifests {
		child.Repository, child.Tag = img.Repository, ""
		all = append(all, flatten(child)...)
	}
	return all
}

// originTags asks the origin itself, as what the answers of the cache are compared to.
func (c *content) originTags(t *testing.T) []string {
	t.Helper()
	var list struct{ Tags []string }
	a := ask(t, c.origin.URL(), "GET", "/v2/"+repository+"/tags/list")
	a.into(t, &list)
	c.origin.Forget()
	if len(list.Tags) < 9 {
		t.Fatalf("the origin has the tags %q, too few: %s", list.Tags, oneLine(a.body))
	}
	return list.Tags
}

// fill replaces the names of things in a path: those of called, and {unknown} and {unknown-tag}, which are others each time.
func (c *content) fill(path string) string {
	return strings.NewReplacer(append([]string{
		"{unknown}", digest.FromString(rand.Text()).String(), "{unknown-tag}", "missing-" + strings.ToLower(rand.Text()),
	}, c.called...)...).Replace(path)
}

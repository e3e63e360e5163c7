package crash

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
)

const layerSize = 192 << 10

// world is what the origin ever had: what may be answered, and with which bytes.
type world struct {
	*origin.Origin
	base v1.Image // the layers that most images share

	mu        sync.Mutex
	blobs     map[digest.Digest][]byte
	images    map[digest.Digest]origin.Image
	revisions map[string][]digest.Digest // by "repository:tag", the newest last
	finished  []origin.Image             // what larder pull said it has
}

// newWorld fills an origin. Its blobs come slowly enough that a process is killed in the middle of them.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		Origin: origin.New(t), base: origin.RandomImage(3, layerSize),
		blobs: map[digest.Digest][]byte{}, images: map[digest.Digest]origin.Image{}, revisions: map[string][]digest.Digest{},
	}
	w.push(t, "app:1", w.base)
	w.push(t, "app:latest", w.variant(t))
	w.push(t, "other:1", w.variant(t)) // B6: its blobs lie in two repositories
	w.push(t, "multi:1", origin.RandomIndex(2, layerSize/4, "linux/amd64", "linux/arm64"))
	w.slow()
	return w
}

func (w *world) slow() { w.Fail(origin.Blobs(), origin.Drip(4<<20)) }

// variant is an image that shares its layers but two with the others.
func (w *world) variant(t *testing.T) v1.Image {
	t.Helper()
	own, err := origin.RandomImage(2, layerSize/2).Layers()
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(w.base, own...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// push is add for what must succeed.
func (w *world) push(t *testing.T, reference string, content remote.Taggable) origin.Image {
	t.Helper()
	img, err := w.add(t.Context(), reference, content)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// add pushes to the origin. A tag may be answered with what is pushed before that has moved it.
func (w *world) add(ctx context.Context, reference string, content remote.Taggable) (origin.Image, error) {
	body, err := content.RawManifest()
	if err != nil {
		return origin.Image{}, err
	}
	blobs, err := contentOf(content)
	if err != nil {
		return origin.Image{}, err
	}
	w.mu.Lock()
	w.revisions[reference] = append(w.revisions[reference], digest.FromBytes(body))
	w.mu.Unlock()
	img, err := w.PushContent(ctx, reference, content)
	if err != nil {
		return origin.Image{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, image := range append(img.Manifests, img) {
		w.images[image.Digest] = image
	}
	for _, blob := range blobs {
		w.blobs[digest.FromBytes(blob)] = blob
	}
	return img, nil
}

// contentOf returns the bytes of all blobs of an image or index.
func contentOf(content remote.Taggable) ([][]byte, error) {
	idx, ok := content.(v1.ImageIndex)
	if !ok {
		return contentOfImage(content.(v1.Image))
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return nil, err
	}
	var blobs [][]byte
	for _, d := range manifest.Manifests {
		img, err := idx.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		content, err := contentOfImage(img)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, content...)
	}
	return blobs, nil
}

func contentOfImage(img v1.Image) ([][]byte, error) {
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	blobs := [][]byte{config}
	for _, layer := range layers {
		content, err := contentOfLayer(layer)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, content)
	}
	return blobs, nil
}

func contentOfLayer(layer v1.Layer) ([]byte, error) {
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// tag picks any tag, one of the latest more often: what is stored already is of less interest.
func (w *world) tag(luck *rand.Rand) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if round := fmt.Sprintf("app:r%d", len(w.revisions)-fixedTags); luck.IntN(2) == 0 && w.revisions[round] != nil {
		return round
	}
	tags := make([]string, 0, len(w.revisions))
	for tag := range w.revisions {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags[luck.IntN(len(tags))]
}

// fixedTags is how many tags newWorld makes; each round adds one.
const fixedTags = 4

// pushRound pushes the image of a round, of which nothing but the shared layers was ever asked for.
func (w *world) pushRound(t *testing.T, round int) origin.Image {
	t.Helper()
	return w.push(t, fmt.Sprintf("app:r%d", round), w.variant(t))
}

func (w *world) isRevision(tag string, dgst digest.Digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.revisions[tag], dgst)
}

// image returns an image by its digest; not ok while it is only being pushed.
func (w *world) image(dgst digest.Digest) (origin.Image, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	img, ok := w.images[dgst]
	return img, ok
}

func (w *world) blob(dgst digest.Digest) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.blobs[dgst]
}

func (w *world) finish(img origin.Image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = append(w.finished, img)
}

// sample picks the newest finished image and up to n-1 others.
func (w *world) sample(luck *rand.Rand, n int) []origin.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.finished) <= n {
		return slices.Clone(w.finished)
	}
	picked := []origin.Image{w.finished[len(w.finished)-1]}
	for _, i := range luck.Perm(len(w.finished) - 1)[:n-1] {
		picked = append(picked, w.finished[i])
	}
	return picked
}

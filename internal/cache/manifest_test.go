package cache

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
)

// TestManifest_B6_AnIndexNeedNotTellItsSize: a manifest that another repository stored is served with the size that it has.
func TestManifest_B6_AnIndexNeedNotTellItsSize(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	want, _ := f.resolve(t, "app", "1")
	index := fmt.Appendf(nil, `{"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, want.MediaType, want.Digest)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index)}
	if err := f.keep(t.Context(), repository("other"), desc, index); err != nil {
		t.Fatal(err)
	}
	f.origin.Refuse()
	got, _ := f.resolve(t, "other", string(want.Digest))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("descriptor (-want +got):\n%s", diff)
	}
}

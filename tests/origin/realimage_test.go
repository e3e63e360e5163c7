package origin_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/tests/origin"
)

func TestRealImage_IsADebianOfTwoPlatforms(t *testing.T) {
	if testing.Short() {
		t.Skip("building the image takes minutes")
	}
	t.Parallel()
	o := origin.New(t, origin.OnDisk())
	idx := o.RealImage(t, "library/debian:latest")
	var platforms []string
	for _, img := range idx.Manifests {
		platforms = append(platforms, img.Platform.OS+"/"+img.Platform.Architecture)
		if len(img.Blobs) != 4 {
			t.Fatalf("%d blobs, want the config and three layers", len(img.Blobs))
		}
		root := get(t, layerURL(o, img)).body
		if !holds(t, root, "etc/passwd") && !holds(t, root, "etc/debian_version") {
			t.Errorf("%v: the first layer is no root file system", img.Platform)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	checkServed(t, o, idx, idx.MediaType)
}

// holds reports whether a compressed layer has a file.
func holds(t *testing.T, layer []byte, name string) bool {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			return true
		}
	}
}

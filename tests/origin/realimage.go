package origin

import (
	"errors"
	"testing"

	"github.com/larder-dev/larder/tests/origin/debian"
)

// RealImage pushes an index of two platforms with a Debian root file system (see package debian), which it builds where that was
// not done before: that takes some minutes, once. Where it cannot be built the test is skipped, with the reason.
// The origin should be OnDisk: the image is of 120 MB.
func (o *Origin) RealImage(t testing.TB, reference string) Image {
	t.Helper()
	dir, err := debian.Build(t.Context(), debian.Options{Log: t.Logf})
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	idx, err := debian.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o.Push(t, reference, idx)
}

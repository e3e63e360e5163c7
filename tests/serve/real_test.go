package serve

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/larder-dev/larder/tests/origin"
)

func TestServe_RealImage(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.OnDisk())
	img := origin.RealImage(t, o)
	l := newLarder(t, o)
	for _, down := range []bool{false, true} {
		if down {
			o.Refuse()
			l.restart(t)
		}
		idx, err := remote.Index(l.reference(t, img.Name()), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(idx, validate.Fast); err != nil {
			t.Error(err)
		}
		l.pull(t, img)
	}
}


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
	img := o.RealImage(t, "debian:12")
	l := newLarder(t, o)
	for _, down := range []bool{false, true} {
		if down {
			l.Settle(t)
			o.Refuse()
			l.Restart(t)
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

package faults

import (
	"net/http"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestDisk_B7_ReadOnly has the disk be read-only from the start, or become it while the process runs.
func TestDisk_B7_ReadOnly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		restart bool
	}{
		{"From the start", true},
		{"In the middle", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			s := newPlainSite(t, o)
			stored := o.Push(t, "stored:1", origin.RandomImage(1, mib))
			pull(t, s.url(process.Host, "stored"), stored)
			s.quiet(t)
			if test.restart {
				s.Kill()
			}
			end := s.makeReadOnly(t)
			if test.restart {
				s.Start(t)
			}
			img := o.Push(t, "app:1", origin.RandomImage(1, mib))
			s.pullAtOnce(t, img, 4)
			s.said(t, "blob cannot be stored, clients stream it from the origin", "read-only file system")
			if s.metric(t, `larder_fetch_failures_total{cause="storage"}`) == 0 {
				t.Error("no failure of the storage is counted")
			}
			if s.stores(t, img.Digest) || s.storesBlobs(t, img) > 0 {
				t.Error("something is stored")
			}
			o.Refuse()
			pull(t, s.url(process.Host, "stored"), stored)
			o.Heal()

			end()
			if test.restart {
				s.Restart(t) // it has opened what it could not write to
			}
			pull(t, s.url(process.Host, "app"), img)
			s.holdsOnlyWhole(t)
			o.Refuse()
			pull(t, s.url(process.Host, "app"), img)
		})
	}
}

// TestDisk_P1_ReadOnlyInTheMiddleOfABlob has the disk become read-only between a blob's first byte and its commit.
func TestDisk_P1_ReadOnlyInTheMiddleOfABlob(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	img := o.Push(t, "app:1", origin.RandomImage(1, 4*mib))
	layer := img.Blobs[1]
	pause := o.Fail(origin.Blobs().Nth(1), origin.StallAfter(2*mib))
	finish := begin(t, s.url(process.Host, "app")+"/blobs/"+layer.Digest.String(), mib)
	end := s.makeReadOnly(t)
	pause.Heal()
	body, err := finish()
	if a := (answer{what: "GET the layer", status: http.StatusOK, body: body, err: err}); !a.holds(layer.Digest) {
		t.Errorf("got %v", a)
	}
	s.quiet(t)
	if s.stores(t, layer.Digest) {
		t.Error("the layer is stored")
	}
	s.said(t, "blob fetch failed", "read-only file system")
	end()
	s.Restart(t) // it takes what is left in the spool away
	pull(t, s.url(process.Host, "app"), img)
	s.holdsOnlyWhole(t)
	o.Refuse()
	pull(t, s.url(process.Host, "app"), img)
}

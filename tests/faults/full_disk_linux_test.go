package faults

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const noRoom = `larder_fetch_failures_total{cause="no_room"}`

// TestDisk_B7_Full fills the disk to different degrees: clients get every byte, nothing is stored, it is told, and with room again
// the next pull is stored.
func TestDisk_B7_Full(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		leave    int64
		noLength bool // the origin does not tell how large its blobs are
		manifest bool // there is room for the manifest
	}{
		{"No room for a blob", floor + 4*mib, false, true},
		{"No room for a blob of unknown size", floor - mib, true, true},
		{"Less than what is kept for records", mib, false, true},
		{"Not one byte", 0, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, origin.OnDisk())
			s := newSmallSite(t, o, 96*mib)
			stored := o.Push(t, "stored:1", origin.RandomImage(1, mib))
			pull(t, s.url(process.Host, "stored"), stored)
			s.quiet(t)
			free := s.fill(t, test.leave)
			if test.noLength {
				o.Fail(origin.Blobs(), origin.NoLength())
			}
			img := o.Push(t, "app:1", origin.RandomImage(1, 10*mib))
			s.pullAtOnce(t, img, 4)
			s.reportsNoRoom(t)
			if s.stores(t, img.Digest) != test.manifest || s.stores(t, img.Blobs[1].Digest) {
				t.Errorf("stored: the manifest %v, want %v, the layer %v, want false", s.stores(t, img.Digest), test.manifest, s.stores(t, img.Blobs[1].Digest))
			}
			s.holdsOnlyWhole(t)
			out, err := s.Run(t, "pull", process.Host+"/app:1")
			if err == nil || !strings.Contains(out, "no room on the disk") || !strings.Contains(out, "make room") {
				t.Errorf("larder pull on a full disk: got %v\n%s", err, out)
			}
			s.worksWithoutRoom(t, o, stored)

			free()
			s.pullAtOnce(t, img, 4)
			s.holdsOnlyWhole(t)
			o.Refuse()
			pull(t, s.url(process.Host, "app"), img)
			s.Restart(t)
			pull(t, s.url(process.Host, "app"), img)
			pull(t, s.url(process.Host, "stored"), stored)
		})
	}
}

// reportsNoRoom looks at what an operator sees.
func (s *site) reportsNoRoom(t *testing.T) {
	t.Helper()
	s.said(t, "blob cannot be stored, clients stream it from the origin", "no room on the disk")
	if got := s.metric(t, noRoom); got == 0 {
		t.Errorf("%s is 0", noRoom)
	}
	if got := s.metric(t, `larder_pass_through_total{reason="no_room"}`); got == 0 {
		t.Error("no answer is counted as passed through")
	}
}

// worksWithoutRoom restarts the process on the full disk: what is stored is served, and what is not streams.
func (s *site) worksWithoutRoom(t *testing.T, o *origin.Origin, stored origin.Image) {
	t.Helper()
	s.Restart(t)
	other := o.Push(t, "other:1", origin.RandomImage(1, 6*mib))
	pull(t, s.url(process.Host, "other"), other)
	o.Refuse()
	pull(t, s.url(process.Host, "stored"), stored)
	o.Heal()
}

// TestDisk_B7_FillsUpInTheMiddleOfABlob has the room go while a blob arrives whose size nobody knows, so that none was reserved.
func TestDisk_B7_FillsUpInTheMiddleOfABlob(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.OnDisk())
	s := newSmallSite(t, o, 96*mib)
	img := o.Push(t, "app:1", origin.RandomImage(1, 12*mib))
	layer := img.Blobs[1]
	pause := o.Fail(origin.Blobs().Nth(1), origin.NoLength(), origin.StallAfter(2*mib))
	path := s.url(process.Host, "app") + "/blobs/" + layer.Digest.String()
	first, second := begin(t, path, mib), begin(t, path, mib)
	free := s.fill(t, 4*mib)
	pause.Heal()
	for _, finish := range []func() ([]byte, error){first, second} {
		body, err := finish()
		if a := (answer{what: "GET the layer", status: http.StatusOK, body: body, err: err}); !a.holds(layer.Digest) {
			t.Errorf("got %v", a)
		}
	}
	if s.stores(t, layer.Digest) {
		t.Error("the layer is stored")
	}
	s.holdsOnlyWhole(t)
	s.reportsNoRoom(t)
	free()
	pull(t, s.url(process.Host, "app"), img)
	s.holdsOnlyWhole(t)
	o.Refuse()
	pull(t, s.url(process.Host, "app"), img)
}

// TestDisk_P1_AMirrorOnAFullDiskTellsTheTruth has an image of which all but manifest, links and tag is stored, for another repository.
func TestDisk_P1_AMirrorOnAFullDiskTellsTheTruth(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newSmallSite(t, o, 64*mib)
	content := origin.RandomImage(1, mib)
	o.Push(t, "stored:1", content)
	img := o.Push(t, "app:1", content)
	if out, err := s.Run(t, "pull", process.Host+"/stored:1"); err != nil {
		t.Fatalf("larder pull: %v\n%s", err, out)
	}
	free := s.fill(t, 0)
	if out, err := s.Run(t, "pull", process.Host+"/app:1"); err == nil || !strings.Contains(out, "no room") {
		t.Errorf("larder pull on a full disk: got %v\n%s", err, out)
	}
	free()
	if out, err := s.Run(t, "pull", process.Host+"/app:1"); err != nil {
		t.Errorf("larder pull with room again: %v\n%s", err, out)
	}
	o.Refuse()
	s.Restart(t)
	pull(t, s.url(process.Host, "app"), img)
}

// TestDisk_T6_CheckedTagsOnAFullDisk has tags that are due while nothing can be written: clients go on getting a whole revision.
func TestDisk_T6_CheckedTagsOnAFullDisk(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newSmallSite(t, o, 64*mib, "updateInterval: 0s")
	img := o.Push(t, "app:1", origin.RandomImage(1, mib))
	base := s.url(process.Host, "app")
	pull(t, base, img)
	s.quiet(t)
	free := s.fill(t, 0)
	if a := ask(t, http.MethodGet, base+"/manifests/1"); !a.holds(img.Digest) {
		t.Errorf("unmoved: got %v", a)
	}
	moved := o.Push(t, "app:1", origin.RandomImage(1, mib))
	if a := ask(t, http.MethodGet, base+"/manifests/1"); !a.holds(img.Digest) && !a.holds(moved.Digest) {
		t.Errorf("moved: got %v", a)
	}
	pullBlob(t, base, img.Blobs[1])
	s.said(t, "no space left on device")
	free()
	s.Restart(t) // what failed is not tried again for some seconds
	pull(t, s.url(process.Host, "app"), moved)
	s.holdsOnlyWhole(t)
}

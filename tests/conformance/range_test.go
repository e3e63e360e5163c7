package conformance

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
)

const rangedSize = 64 << 10

// rangeCases are what a client asks of a blob of rangedSize bytes. A range whose end is 0 has no part: the status says why.
var rangeCases = []struct {
	name       string
	header     []string
	status     int
	start, end int
}{
	{"The first byte", []string{"Range", "bytes=0-0"}, 206, 0, 1},
	{"The last byte", []string{"Range", "bytes=65535-65535"}, 206, 65535, 65536},
	{"In the middle", []string{"Range", "bytes=1000-2999"}, 206, 1000, 3000},
	{"All of it", []string{"Range", "bytes=0-65535"}, 206, 0, 65536},
	{"An open end", []string{"Range", "bytes=60000-"}, 206, 60000, 65536},
	{"From the start, open", []string{"Range", "bytes=0-"}, 206, 0, 65536},
	{"A suffix", []string{"Range", "bytes=-100"}, 206, 65436, 65536},
	{"A suffix longer than the blob", []string{"Range", "bytes=-1000000"}, 206, 0, 65536},
	{"An end beyond the end", []string{"Range", "bytes=65000-1000000"}, 206, 65000, 65536},
	{"In capitals", []string{"Range", "BYTES=1-2"}, 206, 1, 3},
	{"Beyond the end", []string{"Range", "bytes=65536-"}, 416, 0, 0},
	{"Far beyond the end", []string{"Range", "bytes=99999999999999999999-"}, 416, 0, 0},
	{"Closed beyond the end", []string{"Range", "bytes=70000-80000"}, 416, 0, 0},
	{"A suffix of none", []string{"Range", "bytes=-0"}, 416, 0, 0},
	{"Backwards", []string{"Range", "bytes=500-0"}, 416, 0, 0},
	{"Several", []string{"Range", "bytes=0-1,4-5"}, 200, 0, 0},
	{"Several, overlapping", []string{"Range", "bytes=0-100,50-150,-1"}, 200, 0, 0},
	{"In two lines", []string{"Range", "bytes=0-1", "Range", "bytes=4-5"}, 200, 0, 0},
	{"Another unit", []string{"Range", "lines=0-1"}, 200, 0, 0},
	{"Nonsense", []string{"Range", "bytes=first-last"}, 200, 0, 0},
	{"Negative", []string{"Range", "bytes=--1"}, 200, 0, 0},
}

// TestConformance_B8_Ranges asks for a part of a blob of which nothing is known, of one that a stored manifest names, and of a
// stored one, in the four states. Each case has blobs of its own, so that cold is cold.
func TestConformance_B8_Ranges(t *testing.T) {
	t.Parallel()
	for name, opts := range origins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, opts...)
			unnamed := o.Push(t, repository+":unnamed", origin.RandomImage(len(rangeCases), rangedSize))
			known := o.Push(t, repository+":known", origin.RandomImage(len(rangeCases), rangedSize))
			s := newSite(t, &content{origin: o})
			s.ask(t, "GET", in("manifests/known")).want(t, 200)
			s.inEveryState(t, func(t *testing.T, _ state) {
				for i, rc := range rangeCases {
					for _, img := range []origin.Image{unnamed, known} {
						t.Run(rc.name+", "+img.Tag, func(t *testing.T) {
							got := s.ask(t, "GET", blobPath(img.Blobs[1+i].Digest), rc.header...).want(t, rc.status)
							s.checkPart(t, got, rc.start, rc.end, img.Blobs[1+i].Digest)
						})
					}
				}
			})
		})
	}
}

func blobPath(dgst digest.Digest) string { return in("blobs/" + dgst.String()) }

func (s *site) checkPart(t *testing.T, got answer, start, end int, dgst digest.Digest) {
	t.Helper()
	if d := got.Header.Get("Docker-Content-Digest"); got.StatusCode < 400 && d != dgst.String() {
		t.Errorf("%s: got digest %q", got.what, d)
	}
	if accepts := got.Header.Get("Accept-Ranges"); accepts != "bytes" {
		t.Errorf("%s: got Accept-Ranges %q", got.what, accepts)
	}
	whole := s.ask(t, "GET", blobPath(dgst)).want(t, 200).body
	switch got.StatusCode {
	case 206:
		got.partOf(t, whole, start, end)
	case 200:
		if !bytes.Equal(got.body, whole) || got.Header.Get("Content-Range") != "" {
			t.Errorf("%s: not the whole, or with Content-Range %q", got.what, got.Header.Get("Content-Range"))
		}
	case 416:
		if r, want := got.Header.Get("Content-Range"), "bytes */"+strconv.Itoa(len(whole)); r != want || got.code(t) != "RANGE_INVALID" {
			t.Errorf("%s: got Content-Range %q, want %q", got.what, r, want)
		}
	}
}

// TestConformance_B8_RangesOfNothing asks for parts of a blob of no bytes: there are none.
func TestConformance_B8_RangesOfNothing(t *testing.T) {
	t.Parallel()
	c := newContent(t)
	s := newSite(t, c)
	s.inEveryState(t, func(t *testing.T, _ state) {
		for _, header := range []string{"bytes=0-0", "bytes=0-", "bytes=-1"} {
			got := s.ask(t, "GET", in("blobs/{empty}"), "Range", header).want(t, 416)
			if r := got.Header.Get("Content-Range"); r != "bytes */0" {
				t.Errorf("%s of nothing: got Content-Range %q", header, r)
			}
		}
		s.ask(t, "GET", in("blobs/{empty}")).want(t, 200)
	})
}

// TestConformance_B8_ManyConnectionsFetchParts puts a blob together from parts that several connections bring at once, as
// containerd 2 fetches layers. Cold, the origin is slow enough that all of them wait for bytes.
func TestConformance_B8_ManyConnectionsFetchParts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		size      int64
		rate      int64
		transfers bool // whether parts may have transfers of their own: they lie far ahead
	}{
		"Within reach": {4 << 20, 16 << 20, false},
		"Far ahead":    {12 << 20, 24 << 20, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			img := o.Push(t, repository+":1", origin.RandomImage(1, tt.size))
			s := newSite(t, &content{origin: o})
			layer := img.Blobs[1]
			slow := o.Fail(origin.Blobs(), origin.Drip(tt.rate))
			s.ask(t, "GET", in("manifests/1")).want(t, 200)
			s.inParts(t, layer, 8)
			slow.Heal()
			s.ask(t, "GET", blobPath(layer.Digest)).want(t, 200) // what remains of the transfer
			checkTransfers(t, o, layer, tt.transfers)
			o.Refuse()
			s.inParts(t, layer, 5)
		})
	}
}

// inParts fetches n parts of a blob at once, in the order in which they come, and compares the digest of the whole.
func (s *site) inParts(t *testing.T, layer ocispec.Descriptor, n int64) {
	t.Helper()
	whole := make([]byte, layer.Size)
	var clients sync.WaitGroup
	for i := range n {
		start, end := layer.Size*i/n, layer.Size*(i+1)/n
		clients.Go(func() {
			part := fmt.Sprintf("bytes=%d-%d", start, end-1)
			got, err := exchange(t.Context(), "http://"+s.larder.Addr, "GET", blobPath(layer.Digest), "Range", part)
			if err != nil || got.StatusCode != 206 || int64(len(got.body)) != end-start {
				t.Errorf("%s: got %d bytes (%v) of %+v", part, len(got.body), err, got.Response)
				return
			}
			copy(whole[start:end], got.body)
		})
	}
	clients.Wait()
	if got := digest.FromBytes(whole); got != layer.Digest {
		t.Errorf("the parts make %s, want %s", got, layer.Digest)
	}
}

// checkTransfers allows one transfer of the whole, and ranged ones where parts lie far ahead.
func checkTransfers(t *testing.T, o *origin.Origin, layer ocispec.Descriptor, ranged bool) {
	t.Helper()
	whole := 0
	for _, r := range o.Requests(origin.Blobs().By("GET").Of(layer.Digest.String())) {
		switch {
		case r.Header.Get("Range") == "":
			whole++
		case !ranged:
			t.Errorf("the origin was asked for the range %q, want all from one transfer", r.Header.Get("Range"))
		}
	}
	if whole != 1 {
		t.Errorf("the origin sent the blob %d times, want once", whole)
	}
}

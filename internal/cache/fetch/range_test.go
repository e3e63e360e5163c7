package fetch

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlob_B8_RangeResolves(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		rng        Range
		size       int64
		start, end int64
		err        error
	}{
		{"The whole", Range{}, 100, 0, 100, nil},
		{"The whole of an empty blob", Range{}, 0, 0, 0, nil},
		{"The whole of unknown size", Range{}, -1, 0, -1, nil},
		{"First bytes", Range{Partial: true, End: 10}, 100, 0, 10, nil},
		{"Middle", Range{Partial: true, Start: 10, End: 20}, 100, 10, 20, nil},
		{"Last byte", Range{Partial: true, Start: 99, End: 100}, 100, 99, 100, nil},
		{"Open end", Range{Partial: true, Start: 10, End: -1}, 100, 10, 100, nil},
		{"End beyond the blob", Range{Partial: true, Start: 10, End: 1000}, 100, 10, 100, nil},
		{"Suffix", Range{Partial: true, Suffix: 10}, 100, 90, 100, nil},
		{"Suffix longer than the blob", Range{Partial: true, Suffix: 1000}, 100, 0, 100, nil},
		{"Suffix of an empty blob", Range{Partial: true, Suffix: 1}, 0, 0, 0, ErrRange},
		{"Start beyond the blob", Range{Partial: true, Start: 100, End: -1}, 100, 0, 0, ErrRange},
		{"No byte", Range{Partial: true, Start: 10, End: 10}, 100, 0, 0, ErrRange},
		{"Backwards", Range{Partial: true, Start: 20, End: 10}, 100, 0, 0, ErrRange},
		{"Negative start", Range{Partial: true, Start: -1, End: 10}, 100, 0, 0, ErrRange},
		{"Unknown size", Range{Partial: true, Start: 10, End: 20}, -1, 0, -1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			start, end, err := tc.rng.Resolve(tc.size)
			if start != tc.start || end != tc.end || !errors.Is(err, tc.err) {
				t.Errorf("Resolve returned %d, %d, %v, want %d, %d, %v", start, end, err, tc.start, tc.end, tc.err)
			}
		})
	}
}

func FuzzRange(f *testing.F) {
	f.Add(int64(0), int64(-1), int64(0), int64(100))
	f.Add(int64(1<<62), int64(1<<62+1), int64(1<<62), int64(1<<62))
	f.Fuzz(func(t *testing.T, start, end, suffix, size int64) {
		from, to, err := Range{Partial: true, Start: start, End: end, Suffix: suffix}.Resolve(size)
		if size >= 0 && err == nil && (from < 0 || from >= to || to > size) {
			t.Errorf("[%d, %d) does not lie in a blob of %d bytes", from, to, size)
		}
	})
}

func TestBlob_B8_RangesJoinTheFetch(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for _, tc := range []struct {
		name     string
		rng      Range
		from, to int
	}{
		{"First bytes", Range{Partial: true, End: 100}, 0, 100},
		{"Middle", Range{Partial: true, Start: 500 << 10, End: 600 << 10}, 500 << 10, 600 << 10},
		{"Open end", Range{Partial: true, Start: 900 << 10, End: -1}, 900 << 10, size},
		{"Suffix", Range{Partial: true, Suffix: 1000}, size - 1000, size},
		{"Suffix longer than the blob", Range{Partial: true, Suffix: 2 * size}, 0, size},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, content(size, 50)))
			rd := r.open(t, t.Context(), r.desc(), tc.rng)
			if rd.How != Started || rd.Offset != int64(tc.from) || rd.Length != int64(tc.to-tc.from) {
				t.Errorf("the reader is %+v", rd)
			}
			s, done := run(rd)
			if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob[tc.from:tc.to]) {
				t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
			}
			r.wantStored(t, app)
			if diff := cmp.Diff([]string{""}, r.origin.ranges()); diff != "" {
				t.Errorf("ranges asked for (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBlob_B8_RangeOutsideTheBlob(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(1000, 51)))
	outside := Range{Partial: true, Start: 1000, End: -1}
	rd, err := r.Open(t.Context(), app, r.desc(), outside)
	if !errors.Is(err, ErrRange) || rd == nil || rd.Descriptor.Size != 1000 {
		t.Errorf("Open returned %+v, %v, want the size and ErrRange", rd, err)
	}
	if requests, _ := r.origin.traffic(); requests != 0 {
		t.Error("the origin was asked although the size was known")
	}
	rd, err = r.Open(t.Context(), app, r.unsized(), outside)
	if !errors.Is(err, ErrRange) || rd == nil || rd.Descriptor.Size != 1000 {
		t.Errorf("Open returned %+v, %v, want the size and ErrRange", rd, err)
	}
	if err := rd.Close(); err != nil {
		t.Error(err)
	}
}

func TestBlob_B8_RangeOfUnknownSizeIsIgnored(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(1000, 52), answer{chunked: true, upTo: 10, restAt: rest}))
	rd := r.open(t, t.Context(), r.unsized(), Range{Partial: true, Start: 500, End: -1})
	close(rest)
	s, done := run(rd)
	if err := ended(t, done); err != nil || rd.Offset != 0 || !bytes.Equal(s.bytes(), r.origin.blob) {
		t.Errorf("the reader got %d bytes from %d on, %v", len(s.bytes()), rd.Offset, err)
	}
}

func TestBlob_B8_FarAheadIsARequestOfItsOwn(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	blob := content(size, 53)
	far := Range{Partial: true, Start: 9 << 20, End: 9<<20 + 1000}
	for _, tc := range []struct {
		name   string
		rng    Range
		second []answer
		how    How
		ranges []string
	}{
		{"With an end", far, []answer{{}}, PassThrough, []string{"", "bytes=9437184-9438183"}},
		{"A suffix", Range{Partial: true, Suffix: 1000}, []answer{{}}, PassThrough, []string{"", "bytes=10484760-"}},
		{"Across a broken connection", far, []answer{{upTo: 10}, {}}, PassThrough,
			[]string{"", "bytes=9437184-9438183", "bytes=9437194-9438183"}},
		{"Where the origin knows no ranges", far, []answer{{ignoreRange: true}}, Joined, []string{"", "bytes=9437184-9438183"}},
		{"Where the origin refuses", far, []answer{{status: 429}}, Joined, []string{"", "bytes=9437184-9438183"}},
		{"Not far enough", Range{Partial: true, Start: 8 << 20, End: -1}, nil, Joined, []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			r := newRig(t, newOrigin(t, blob, append([]answer{{upTo: 100, restAt: rest}}, tc.second...)...))
			r.open(t, t.Context(), r.desc(), Range{})
			rd := r.open(t, t.Context(), r.desc(), tc.rng)
			if rd.How != tc.how {
				t.Errorf("the answer came by %v, want %v", rd.How, tc.how)
			}
			if rd.How == Joined {
				close(rest)
			}
			s, done := run(rd)
			want := blob[rd.Offset : rd.Offset+rd.Length]
			if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), want) {
				t.Errorf("the reader got %d bytes of %d, %v", len(s.bytes()), len(want), err)
			}
			if rd.How == PassThrough {
				close(rest)
			}
			r.wantStored(t, app)
			if diff := cmp.Diff(tc.ranges, r.origin.ranges()); diff != "" {
				t.Errorf("ranges asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// A range far ahead also starts the fetch of the whole.
func TestBlob_B8_FarAheadStartsTheFetch(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(10<<20, 54), answer{upTo: 100, restAt: rest}, answer{}))
	rd := r.open(t, t.Context(), r.desc(), Range{Partial: true, Suffix: 100})
	if rd.How != PassThrough || !r.fetches() {
		t.Errorf("the answer came by %v; the fetch runs: %v", rd.How, r.fetches())
	}
	close(rest)
	r.wantStored(t, app)
}

package proxy

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache/fetch"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	const far = math.MaxInt64 - 1
	tests := map[string]struct {
		s    string
		want fetch.Range
		ok   bool
	}{
		"Closed":             {"bytes=0-499", fetch.Range{Partial: true, Start: 0, End: 500}, true},
		"One byte":           {"bytes=7-7", fetch.Range{Partial: true, Start: 7, End: 8}, true},
		"Open":               {"bytes=500-", fetch.Range{Partial: true, Start: 500, End: -1}, true},
		"A suffix":           {"bytes=-500", fetch.Range{Partial: true, End: -1, Suffix: 500}, true},
		"A suffix of none":   {"bytes=-0", fetch.Range{Partial: true, Start: far, End: -1}, true},
		"Upper case":         {"Bytes=1-2", fetch.Range{Partial: true, Start: 1, End: 3}, true},
		"With spaces":        {"bytes= 1-2 ", fetch.Range{Partial: true, Start: 1, End: 3}, true},
		"Beyond all numbers": {"bytes=99999999999999999999-", fetch.Range{Partial: true, Start: far, End: -1}, true},
		"An endless end":     {"bytes=1-99999999999999999999", fetch.Range{Partial: true, Start: 1, End: math.MaxInt64}, true},
		"Empty":              {"", fetch.Range{}, false},
		"No range":           {"bytes=", fetch.Range{}, false},
		"Only a dash":        {"bytes=-", fetch.Range{}, false},
		"Backwards":          {"bytes=5-4", fetch.Range{Partial: true, Start: far, End: -1}, true},
		"Another unit":       {"lines=1-2", fetch.Range{}, false},
		"Several":            {"bytes=0-1,4-5", fetch.Range{}, false},
		"A sign":             {"bytes=+1-2", fetch.Range{}, false},
		"Two dashes":         {"bytes=1--2", fetch.Range{}, false},
		"Letters":            {"bytes=a-b", fetch.Range{}, false},
		"A space inside":     {"bytes=1 -2", fetch.Range{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseRange(tt.s)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("parseRange(%q): ok %v, want %v (-want +got):\n%s", tt.s, ok, tt.ok, diff)
			}
		})
	}
}

// FuzzParseRange holds that what is accepted can be written again, and selects bytes inside any blob or none.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=9223372036854775807-", "bytes=1-0", "x"} {
		f.Add(seed, int64(10))
		f.Add(seed, int64(0))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		rng, ok := parseRange(s)
		if !ok {
			if rng != (fetch.Range{}) {
				t.Errorf("parseRange(%q) refuses and answers %+v", s, rng)
			}
			return
		}
		if again, ok := parseRange(render(rng)); !ok || again != rng {
			t.Errorf("%q is %+v, written again as %q %+v", s, rng, render(rng), again)
		}
		if size < 0 {
			return
		}
		start, end, err := rng.Resolve(size)
		if err == nil && rng.Partial && (start < 0 || start >= end || end > size) {
			t.Errorf("%q selects [%d, %d) of %d bytes", s, start, end, size)
		}
	})
}

func render(rng fetch.Range) string {
	switch {
	case rng.Suffix > 0:
		return fmt.Sprintf("bytes=-%d", rng.Suffix)
	case rng.End < 0:
		return fmt.Sprintf("bytes=%d-", rng.Start)
	default:
		return fmt.Sprintf("bytes=%d-%d", rng.Start, rng.End-1)
	}
}

func TestHandler_B8_Ranges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		headers  []string // ETAG stands for the target's entity tag
		status   int
		from, to int // of the body; from < 0: counted from its end, to 0: to its end
	}{
		"The whole, by range":    {[]string{"Range: bytes=0-"}, 206, 0, 0},
		"The first byte":         {[]string{"Range: bytes=0-0"}, 206, 0, 1},
		"In the middle":          {[]string{"Range: bytes=5-9"}, 206, 5, 10},
		"An open end":            {[]string{"Range: bytes=15-"}, 206, 15, 0},
		"A suffix":               {[]string{"Range: bytes=-3"}, 206, -3, 0},
		"A suffix beyond":        {[]string{"Range: bytes=-300"}, 206, 0, 0},
		"An end beyond":          {[]string{"Range: bytes=18-999"}, 206, 18, 0},
		"Outside":                {[]string{"Range: bytes=1000-"}, 416, 0, 0},
		"Far outside":            {[]string{"Range: bytes=99999999999999999999-"}, 416, 0, 0},
		"A suffix of none":       {[]string{"Range: bytes=-0"}, 416, 0, 0},
		"Several":                {[]string{"Range: bytes=0-1,3-4"}, 200, 0, 0},
		"In two lines":           {[]string{"Range: bytes=0-1", "Range: bytes=3-4"}, 200, 0, 0},
		"Backwards":              {[]string{"Range: bytes=9-1"}, 416, 0, 0},
		"Malformed":              {[]string{"Range: bytes=1--9"}, 200, 0, 0},
		"Another unit":           {[]string{"Range: rows=0-1"}, 200, 0, 0},
		"If-Range, the same":     {[]string{"Range: bytes=1-2", "If-Range: ETAG"}, 206, 1, 3},
		"If-Range, weak":         {[]string{"Range: bytes=1-2", "If-Range: W/ETAG"}, 200, 0, 0},
		"If-Range, another":      {[]string{"Range: bytes=1-2", `If-Range: "x"`}, 200, 0, 0},
		"If-Range, a date":       {[]string{"Range: bytes=1-2", "If-Range: Wed, 21 Oct 2015 07:28:00 GMT"}, 200, 0, 0},
		"If-None-Match, another": {[]string{"Range: bytes=1-2", `If-None-Match: "x"`}, 206, 1, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, &fake{})
			for _, target := range []string{blobPath, manifestPath} {
				plain := exchange(t, addr, "GET", target)
				headers := make([]string, len(tt.headers))
				for i, line := range tt.headers {
					headers[i] = strings.ReplaceAll(line, "ETAG", plain.Header.Get("ETag"))
				}
				from, to := tt.from, tt.to
				if from < 0 {
					from += len(plain.body)
				}
				if to == 0 {
					to = len(plain.body)
				}
				checkPart(t, plain, exchange(t, addr, "GET", target, headers...), tt.status, from, to)
				if head := exchange(t, addr, "HEAD", target, headers...); head.StatusCode != http.StatusOK {
					t.Errorf("HEAD %s: %d; a range has no meaning there", target, head.StatusCode)
				}
			}
		})
	}
}

func checkPart(t *testing.T, plain, got reply, status, from, to int) {
	t.Helper()
	if got.StatusCode != status {
		t.Fatalf("status %d, want %d", got.StatusCode, status)
	}
	contentRange := ""
	switch status {
	case http.StatusPartialContent:
		contentRange = fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(plain.body))
	case http.StatusRequestedRangeNotSatisfiable:
		contentRange = fmt.Sprintf("bytes */%d", len(plain.body))
	}
	if got := got.Header.Get("Content-Range"); got != contentRange {
		t.Errorf("Content-Range: %q, want %q", got, contentRange)
	}
	if got.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("Accept-Ranges: %q, want %q", got.Header.Get("Accept-Ranges"), "bytes")
	}
	if status == http.StatusRequestedRangeNotSatisfiable {
		if got.code() != "RANGE_INVALID" {
			t.Errorf("not an OCI error: %s", got.body)
		}
		return
	}
	if want := plain.body[from:to]; got.body != want || got.ContentLength != int64(len(want)) {
		t.Errorf("body %q (Content-Length %d), want %q", got.body, got.ContentLength, want)
	}
}

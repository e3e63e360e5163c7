package proxy

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/httpx"
)

// requestedRange reads Range and If-Range. The zero Range, the whole, stands also for what RFC 9110 lets a server ignore: several
// ranges, malformed ones, other units, and an If-Range that is not exactly etag.
func requestedRange(header http.Header, etag string) fetch.Range {
	values := header["Range"]
	if len(values) != 1 {
		return fetch.Range{}
	}
	if condition := header["If-Range"]; len(condition) > 0 && condition[0] != etag {
		return fetch.Range{}
	}
	rng, _ := parseRange(values[0])
	return rng
}

// outsideAll is a range that no blob has.
var outsideAll = fetch.Range{Partial: true, Start: math.MaxInt64 - 1, End: -1}

// parseRange reads a single byte range; it says no to anything else.
func parseRange(s string) (fetch.Range, bool) {
	unit, spec, ok := strings.Cut(s, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return fetch.Range{}, false
	}
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok {
		return fetch.Range{}, false
	}
	if first == "" {
		return parseSuffix(last)
	}
	start, ok := parseOffset(first)
	if !ok {
		return fetch.Range{}, false
	}
	if last == "" {
		return fetch.Range{Partial: true, Start: start, End: -1}, true
	}
	end, ok := parseOffset(last)
	switch {
	case !ok:
		return fetch.Range{}, false
	case end < start: // RFC 9110 allows to refuse it, and the spec's conformance suite wants that
		return outsideAll, true
	}
	return fetch.Range{Partial: true, Start: start, End: end + 1}, true
}

func parseSuffix(s string) (fetch.Range, bool) {
	n, ok := parseOffset(s)
	switch {
	case !ok:
		return fetch.Range{}, false
	case n == 0: // the last no bytes: well-formed
		return outsideAll, true
	default:
		return fetch.Range{Partial: true, End: -1, Suffix: n}, true
	}
}

// parseOffset reads digits. What is too large for any blob is cut to the largest offset that has a successor: it is well-formed.
func parseOffset(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && n == 0 {
		return 0, false
	}
	return min(n, math.MaxInt64-1), true
}

// describePart sets the headers of a 206 over those of the whole.
func describePart(header http.Header, offset, length, size int64) {
	total := "*"
	if size >= 0 {
		total = strconv.FormatInt(size, 10)
	}
	last := strconv.FormatInt(offset+length-1, 10)
	header.Set("Content-Range", "bytes "+strconv.FormatInt(offset, 10)+"-"+last+"/"+total)
	header.Set("Content-Length", strconv.FormatInt(length, 10))
}

func writeUnsatisfiable(w http.ResponseWriter, size int64) {
	w.Header()["Accept-Ranges"] = inBytes
	if size >= 0 {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
	}
	httpx.WriteError(w, http.StatusRequestedRangeNotSatisfiable, string(codeRangeInvalid), cache.ErrRange.Error(), nil)
}

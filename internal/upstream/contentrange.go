package upstream

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// contentRange is the part that a 206 holds: bytes first to last, both included, of size (-1: not told).
type contentRange struct {
	first, last, size int64
}

func (r contentRange) length() int64 { return r.last - r.first + 1 }

var errContentRange = errors.New("want bytes FIRST-LAST/SIZE")

// parseContentRange reads the header as RFC 9110, 14.4 has it, for an answer that holds bytes.
func parseContentRange(header string) (contentRange, error) {
	none := contentRange{}
	unit, rest, _ := strings.Cut(header, " ")
	part, total, found := strings.Cut(rest, "/")
	from, to, isPart := strings.Cut(part, "-")
	if !strings.EqualFold(unit, "bytes") || !found || !isPart {
		return none, errContentRange
	}
	r := contentRange{size: -1}
	var err error
	if r.first, err = parseCount(from); err != nil {
		return none, err
	}
	if r.last, err = parseCount(to); err != nil {
		return none, err
	}
	if total != "*" {
		if r.size, err = parseCount(total); err != nil {
			return none, err
		}
	}
	if r.last < r.first || r.last == math.MaxInt64 || r.size >= 0 && r.last >= r.size {
		return none, errContentRange
	}
	return r, nil
}

// parseCount reads digits alone: no sign, no space.
func parseCount(s string) (int64, error) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, errContentRange
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errContentRange
	}
	return n, nil
}

// rangeHeader asks for length bytes (< 0: all there are) from offset on; "" asks for the whole.
func rangeHeader(offset, length int64) string {
	switch {
	case length > 0 && length <= math.MaxInt64-offset:
		return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
	case offset > 0:
		return fmt.Sprintf("bytes=%d-", offset)
	default:
		return ""
	}
}

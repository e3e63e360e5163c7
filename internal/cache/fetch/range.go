package fetch

// Range is a part of a blob as a client asks for it. The zero value is the whole.
type Range struct {
	Partial bool
	Start   int64 // first byte; with Suffix, ignored
	End     int64 // one past the last byte; < 0: to the end
	Suffix  int64 // > 0: the last Suffix bytes
}

// Resolve returns the first byte and one past the last one of a blob of that size. Where nobody knows the size, a range
// cannot be answered (RFC 9110 wants the end of it in the header), and is ignored: the whole, to an unknown end (< 0).
func (r Range) Resolve(size int64) (start, end int64, err error) {
	switch {
	case !r.Partial || size < 0:
		return 0, size, nil
	case r.Suffix > 0:
		start, end = max(size-r.Suffix, 0), size
	case r.End < 0:
		start, end = r.Start, size
	default:
		start, end = r.Start, min(r.End, size)
	}
	if start < 0 || start >= end {
		return 0, 0, ErrRange
	}
	return start, end, nil
}

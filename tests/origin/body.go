package origin

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
)

// ResetAfter declares the full length, sends the first n bytes of the body (fewer where the client is slow to read: a RST
// overtakes what still waits to be sent) and ends the connection with a RST. A body of up to n bytes is untouched.
func ResetAfter(n int64) Effect {
	return cutAfter(n, func(a *answer, _ *Fault) error {
		a.abort = a.reset
		return errCut
	})
}

// TruncateAfter declares the full length, sends the first n bytes of the body and closes the connection in order.
func TruncateAfter(n int64) Effect {
	return cutAfter(n, func(a *answer, _ *Fault) error {
		a.abort = func() {}
		return errCut
	})
}

// StallAfter sends the first n bytes of the body, and the rest when the fault is healed.
func StallAfter(n int64) Effect {
	return cutAfter(n, func(a *answer, f *Fault) error {
		if !a.held(f, -1) {
			return errCut
		}
		return nil
	})
}

func cutAfter(n int64, then func(*answer, *Fault) error) Effect {
	return Effect{stage: func(a *answer, f *Fault, next io.WriteCloser) io.WriteCloser {
		return &cut{next: next, left: n, then: func() error {
			if err := a.flush(); err != nil {
				return err
			}
			return then(a, f)
		}}
	}}
}

// cut passes left bytes on and calls then when there is one more; it goes on if then returns nil.
type cut struct {
	next io.WriteCloser
	left int64
	then func() error
}

func (s *cut) Write(p []byte) (int, error) {
	head := p[:min(int64(len(p)), s.left)]
	n, err := s.next.Write(head)
	s.left -= int64(n)
	if err != nil || n == len(p) {
		return n, err
	}
	if err := s.then(); err != nil {
		return n, err
	}
	s.left = math.MaxInt64
	rest, err := s.next.Write(p[n:])
	return n + rest, err
}

func (s *cut) Close() error { return s.next.Close() }

// Corrupt flips a bit of the byte at offset of the whole content, whichever range of it is asked for.
func Corrupt(offset int64) Effect {
	return Effect{stage: func(a *answer, _ *Fault, next io.WriteCloser) io.WriteCloser {
		return &corrupt{next: next, at: offset - rangeStart(a.Header())}
	}}
}

func rangeStart(h http.Header) int64 {
	var start int64
	if _, err := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-", &start); err != nil {
		return 0
	}
	return start
}

type corrupt struct {
	next io.WriteCloser
	at   int64 // counted from the next byte to be written
}

func (s *corrupt) Write(p []byte) (int, error) {
	if s.at >= 0 && s.at < int64(len(p)) {
		changed := append([]byte(nil), p...)
		changed[s.at] ^= 1
		p = changed
	}
	s.at -= int64(len(p))
	return s.next.Write(p)
}

func (s *corrupt) Close() error { return s.next.Close() }

// WrongLength declares delta bytes more, or fewer, than there are, and sends as many: with zeros at the end, or cut short.
// HEAD declares them too.
func WrongLength(delta int64) Effect {
	return Effect{
		header: func(h http.Header) {
			if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
				h.Set("Content-Length", strconv.FormatInt(max(n+delta, 0), 10))
			}
		},
		stage: func(a *answer, _ *Fault, next io.WriteCloser) io.WriteCloser {
			n, err := strconv.ParseInt(a.Header().Get("Content-Length"), 10, 64)
			if err != nil {
				return next
			}
			return &resize{next: next, left: n}
		},
	}
}

// resize passes exactly left bytes on.
type resize struct {
	next io.WriteCloser
	left int64
}

func (s *resize) Write(p []byte) (int, error) {
	n, err := s.next.Write(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil {
		return n, err
	}
	return len(p), nil
}

func (s *resize) Close() error {
	zeros := make([]byte, 32<<10)
	for s.left > 0 {
		n, err := s.next.Write(zeros[:min(int64(len(zeros)), s.left)])
		if err != nil {
			return err
		}
		s.left -= int64(n)
	}
	return s.next.Close()
}

// Gzip compresses the body and says so in Content-Encoding, whatever the client accepts.
func Gzip() Effect {
	return Effect{
		header: func(h http.Header) {
			h.Del("Content-Length")
			h.Set("Content-Encoding", "gzip")
		},
		stage: func(_ *answer, _ *Fault, next io.WriteCloser) io.WriteCloser {
			return &zipped{Writer: gzip.NewWriter(next), next: next}
		},
	}
}

type zipped struct {
	*gzip.Writer
	next io.WriteCloser
}

func (s *zipped) Close() error {
	if err := s.Writer.Close(); err != nil {
		return err
	}
	return s.next.Close()
}

// eager flushes its first write, so that net/http cannot compute the length of a short body and declare it.
type eager struct {
	next    io.WriteCloser
	a       *answer
	flushed bool
}

func (s *eager) Write(p []byte) (int, error) {
	n, err := s.next.Write(p)
	if err == nil && !s.flushed {
		s.flushed = true
		err = s.a.flush()
	}
	return n, err
}

func (s *eager) Close() error { return s.next.Close() }

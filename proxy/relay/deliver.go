package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/larder-dev/larder/internal/httpx"
)

const (
	maxFailures  = 5               // passes over all sources in a row that bring no byte (B3)
	firstPause   = 1 * time.Second // after the second of them; doubles
	copyBuffer   = 64 << 10
	statusNotNow = http.StatusServiceUnavailable
)

// hopByHop are the headers that end here (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// deliver passes a replica's answer on.
func (h *Handler) deliver(w http.ResponseWriter, q *request, a *answer) {
	httpx.RecordOf(w).Cache = cacheLabel(a.Header.Get("Cache-Status"))
	header := w.Header()
	maps.Copy(header, a.Header)
	for _, name := range hopByHop {
		header.Del(name)
	}
	w.WriteHeader(status(q, a.StatusCode))
	if q.client.Method == http.MethodHead {
		a.close()
		return
	}
	whole, ok := partOf(a.Response)
	if !ok {
		h.pour(w, a)
		return
	}
	// The client sees the headers at once, and net/http does not look at the body's beginning to find out its type.
	_ = http.NewResponseController(w).Flush() // a connection that is broken shows in what follows
	d := &delivery{h: h, q: q, w: w, part: whole, header: a.Header}
	d.run(q.client.Context(), source{body: a.Body, from: a.from})
}

// status keeps away from containerd what makes it retry here instead of going on to the origin.
func status(q *request, status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		if q.ns != "" {
			return statusNotNow
		}
	}
	return status
}

// pour passes on a body that cannot be resumed: an error's, or one whose length nobody knows.
func (h *Handler) pour(w http.ResponseWriter, a *answer) {
	defer a.close()
	if _, err := io.Copy(w, struct{ io.Reader }{a.Body}); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// part is what a body holds of a whole: the bytes from first up to end, without it.
type part struct{ first, end, size int64 }

// partOf reads where an answer's body lies; ok is false for one that has no place or no known length.
func partOf(resp *http.Response) (p part, ok bool) {
	switch {
	case resp.StatusCode == http.StatusOK && resp.ContentLength >= 0:
		return part{0, resp.ContentLength, resp.ContentLength}, true
	case resp.StatusCode != http.StatusPartialContent:
		return part{}, false
	}
	var last int64
	n, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &p.first, &last, &p.size)
	p.end = last + 1
	return p, err == nil && n == 3 && 0 <= p.first && p.first < p.end && p.end <= p.size &&
		(resp.ContentLength < 0 || resp.ContentLength == p.end-p.first)
}

// source is an open body, and the replica that sends it; nil for an origin.
type source struct {
	body  io.ReadCloser
	from  *replica
	doubt func() // of an origin's: it broke off
}

// delivery is a body on its way to a client.
type delivery struct {
	h      *Handler
	q      *request
	w      http.ResponseWriter
	part   part        // what the client waits for
	header http.Header // of the first answer: what comes later must agree
}

// run sends the part, wherever it comes from. What cannot be finished is broken off.
func (d *delivery) run(ctx context.Context, from source) {
	for failures := 0; ; {
		var n int64
		var err error
		if from.body != nil {
			n, err = d.move(ctx, from)
			d.part.first += n
		}
		switch {
		case err == nil && d.part.first == d.part.end:
			return
		case ctx.Err() != nil, clientGone(err):
			panic(http.ErrAbortHandler)
		}
		if failures++; n > 0 {
			failures = 0
		}
		if failures >= maxFailures || !pause(ctx, failures) {
			d.h.o.Log.Info("breaking off an answer that no replica finishes", "repository", d.q.repo.String(), "reference", d.q.Reference)
			panic(http.ErrAbortHandler)
		}
		from = d.resume(ctx)
	}
}

// clientGone says whether it was the client's connection that broke, as far as an error tells.
func clientGone(err error) bool { return errors.Is(err, errClient) || errors.Is(err, syscall.EPIPE) }

func pause(ctx context.Context, failures int) bool {
	if failures < 2 {
		return true
	}
	select {
	case <-time.After(firstPause << (failures - 2)):
		return true
	case <-ctx.Done():
		return false
	}
}

// move sends what a source has of the part. A source that ends too early is an error.
func (d *delivery) move(ctx context.Context, from source) (n int64, err error) {
	if b, ok := from.body.(*body); ok && b.left == d.part.end-d.part.first {
		n, err = b.WriteTo(d.w)
	} else {
		n, err = copyPart(ctx, d.w, from.body, d.part.end-d.part.first)
	}
	_ = from.body.Close()
	switch {
	case err == nil, ctx.Err() != nil, clientGone(err):
	case from.from != nil:
		d.h.o.Metrics.Attempts.WithLabelValues("broken").Inc()
		d.h.avoid(from.from, "its answer broke off")
	case from.doubt != nil:
		from.doubt()
	}
	return n, err
}

// resume opens the rest at the first source that has the same content; its body is nil where none has.
func (d *delivery) resume(ctx context.Context) source {
	d.h.o.Metrics.Resumes.Inc()
	header := http.Header{"Range": {rangeOf(d.part)}, "User-Agent": d.q.client.Header["User-Agent"]}
	if accept := d.q.client.Header["Accept"]; accept != nil {
		header["Accept"] = accept
	}
	if a := d.h.ask(ctx, d.q, header); a != nil {
		if d.continues(a) {
			return source{body: a.Body, from: a.from}
		}
		a.close()
		a.from.failed(time.Now()) // the next pass begins elsewhere
		return source{}
	}
	return d.h.resumeAtOrigin(ctx, d.q, d.part)
}

// continues says whether an answer is the rest of the same content.
func (d *delivery) continues(a *answer) bool {
	got, ok := partOf(a.Response)
	if !ok || a.StatusCode != http.StatusPartialContent || got != d.part {
		return false
	}
	was, is := d.header.Get(contentDigest), a.Header.Get(contentDigest)
	return was == is && (was != "" || d.header.Get("Etag") == a.Header.Get("Etag"))
}

const contentDigest = "Docker-Content-Digest"

func rangeOf(p part) string {
	return "bytes=" + strconv.FormatInt(p.first, 10) + "-" + strconv.FormatInt(p.end-1, 10)
}

var (
	errClient = errors.New("the client is gone")
	errIdle   = errors.New("no byte came for a while")
	buffers   = sync.Pool{New: func() any { return new([copyBuffer]byte) }}
)

// copyPart sends the next n bytes of src. Where none comes for a while, it closes src.
func copyPart(ctx context.Context, w io.Writer, src io.ReadCloser, n int64) (sent int64, err error) {
	buffer := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buffer)
	defer context.AfterFunc(ctx, func() { _ = src.Close() })()
	for sent < n {
		idle := time.AfterFunc(idleTime, func() { _ = src.Close() })
		got, err := src.Read(buffer[:min(n-sent, copyBuffer)])
		if !idle.Stop() {
			err = errIdle
		}
		if got > 0 {
			put, failed := w.Write(buffer[:got])
			if sent += int64(put); failed != nil {
				return sent, fmt.Errorf("%w: %w", errClient, failed)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && sent < n:
			return sent, io.ErrUnexpectedEOF
		case err != nil && sent < n:
			return sent, err
		}
	}
	return sent, nil
}

// cacheLabel is the word of the access log and the metrics for a Cache-Status.
func cacheLabel(status string) string {
	switch {
	case status == "":
		return ""
	case strings.Contains(status, "detail=stale"):
		return "stale"
	case strings.Contains(status, "; hit"):
		return "hit"
	case strings.Contains(status, "fwd=stale"):
		return "revalidated"
	case strings.Contains(status, "collapsed"):
		return "collapsed"
	default:
		return "miss"
	}
}

package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/metrics"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestBlob_PartialAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		status         int
		contentRange   string
		offset, length int64
		reason         Reason
		from, size     int64
	}{
		{"What was asked for", 206, "bytes 4-9/10", 4, -1, "", 4, 10},
		{"Size not told", 206, "bytes 4-9/*", 4, -1, "", 4, -1},
		{"Less than asked for", 206, "bytes 4-9/100", 4, 50, "", 4, 100},
		{"The whole instead", 200, "", 4, -1, "", 0, 6},
		{"Not satisfiable", 416, "bytes */10", 40, -1, Invalid, 0, 0},
		{"Another start", 206, "bytes 3-8/10", 4, -1, Invalid, 0, 0},
		{"More than asked for", 206, "bytes 4-9/10", 4, 3, Invalid, 0, 0},
		{"Another length than it has", 206, "bytes 4-8/10", 4, -1, Invalid, 0, 0},
		{"No Content-Range", 206, "", 4, -1, Invalid, 0, 0},
		{"Not a number", 206, "bytes 4-x/10", 4, -1, Invalid, 0, 0},
		{"Compressed", 200, "gzip", 0, -1, Invalid, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) {
				if tt.contentRange == "gzip" {
					w.Header().Set("Content-Encoding", "gzip")
				} else if tt.contentRange != "" {
					w.Header().Set("Content-Range", tt.contentRange)
				}
				w.Header().Set("Content-Length", "6")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, "456789")
			}))
			b, err := newClient(t, at("reg.test", s.URL)).Blob(t.Context(), app("reg.test"), digest.FromString("x"), tt.offset, tt.length)
			if tt.reason != "" {
				_ = wantError(t, err, tt.reason)
				return
			}
			must(t, err)
			if got := string(readAll(t, b)); got != "456789" || b.Offset != tt.from || b.Size != tt.size {
				t.Errorf("got %q from %d of %d, want from %d of %d", got, b.Offset, b.Size, tt.from, tt.size)
			}
		})
	}
}

func TestBlob_WithoutALengthIsCounted(t *testing.T) {
	t.Parallel()
	s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		fmt.Fprint(w, strings.Repeat("x", 100<<10))
	}))
	m := metrics.New(prometheus.NewRegistry())
	c := newClientWith(t, Options{Registries: []Registry{at("reg.test", s.URL)}, Metrics: m})
	b, err := c.Blob(t.Context(), app("reg.test"), digest.FromString("x"), 0, -1)
	must(t, err)
	if got := len(readAll(t, b)); got != 100<<10 || b.Size != -1 {
		t.Errorf("got %d bytes of %d", got, b.Size)
	}
	if got := testutil.ToFloat64(m.OriginBytes.WithLabelValues("reg.test")); got != 100<<10 {
		t.Errorf("%g bytes counted, want %d", got, 100<<10)
	}
	for _, want := range []struct{ kind, code string }{{"ping", "200"}, {"blob", "200"}} {
		if got := testutil.ToFloat64(m.OriginRequests.WithLabelValues("reg.test", want.kind, want.code)); got != 1 {
			t.Errorf("%g requests counted of %v, want 1", got, want)
		}
	}
}

// serveRaw answers every connection with the same bytes and closes it.
func serveRaw(t *testing.T, answer string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

func TestBlob_OldAndBrokenHTTP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer, body string
		size               int64
		open, read         Reason // where it fails; read errors are no *Error
	}{
		{name: "HTTP/1.0 without a length", answer: "HTTP/1.0 200 OK\r\n\r\n0123456789", body: "0123456789", size: -1},
		{name: "Cut off in the middle", answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123", read: Unreachable, size: 100},
		{name: "Cut off in the headers", answer: "HTTP/1.1 200 OK\r\nContent-Le", open: Unreachable},
		{name: "Not HTTP", answer: "SSH-2.0-OpenSSH_9.6\r\n", open: Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, at("reg.test", serveRaw(t, tt.answer)))
			b, err := c.Blob(t.Context(), app("reg.test"), digest.FromString("x"), 0, -1)
			if tt.open != "" {
				_ = wantError(t, err, tt.open)
				return
			}
			must(t, err)
			defer b.Body.Close()
			content, err := io.ReadAll(b.Body)
			if tt.read != "" {
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want an unexpected end", err)
				}
				return
			}
			if must(t, err); string(content) != tt.body || b.Size != tt.size {
				t.Errorf("got %q of %d", content, b.Size)
			}
		})
	}
}

func TestBlob_ClosingAHalfReadBodyDoesNotWait(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := serve(t, unlessPing(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		fmt.Fprint(w, "begin")
		w.(http.Flusher).Flush()
		<-r.Context().Done() // nothing more comes
		close(gone)
	}))
	b, err := newClient(t, at("reg.test", s.URL)).Blob(t.Context(), app("reg.test"), digest.FromString("x"), 0, -1)
	must(t, err)
	_, err = io.ReadFull(b.Body, make([]byte, 5))
	must(t, err)
	must(t, b.Body.Close()) // else it would wait for ever
	<-gone
}

func TestBlob_RangesThatCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, r := range [][2]int64{{-1, -1}, {0, 0}} {
		_, err := c.Blob(t.Context(), app("reg.test"), digest.FromString("x"), r[0], r[1])
		_ = wantError(t, err, Invalid)
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "items 0-1/2",
		"bytes +0-9/10", "bytes 0--9/10", "bytes 0-9223372036854775807/*", "bytes 0-9/99999999999999999999", "bytes  0-9/10", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r, err := parseContentRange(header)
		if err != nil {
			return
		}
		if r.first < 0 || r.length() < 1 || r.size != -1 && r.last >= r.size {
			t.Fatalf("%q read as %+v", header, r)
		}
		size := "*"
		if r.size >= 0 {
			size = fmt.Sprint(r.size)
		}
		again, err := parseContentRange(fmt.Sprintf("bytes %d-%d/%s", r.first, r.last, size))
		if err != nil || again != r {
			t.Fatalf("%q read as %+v, its normal form as %+v, %v", header, r, again, err)
		}
	})
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "bytes", "bytes 0-9", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "items 0-1/2",
		"bytes +0-9/10", "bytes -1-9/10", "bytes  0-9/10", "bytes 0-9/10 ", "bytes 0-9/-1", "bytes 0-9223372036854775807/*",
		"bytes 0-9/99999999999999999999", "bytes 0-4/10, 5-9/10"} {
		if r, err := parseContentRange(header); err == nil {
			t.Errorf("%q read as %+v", header, r)
		}
	}
	if r, err := parseContentRange("bytes 4-9/10"); err != nil || r != (contentRange{4, 9, 10}) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRangeHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		offset, length int64
		want           string
	}{{0, -1, ""}, {5, -1, "bytes=5-"}, {0, 1, "bytes=0-0"}, {5, 10, "bytes=5-14"}, {5, 1<<63 - 1, "bytes=5-"}} {
		if got := rangeHeader(tt.offset, tt.length); got != tt.want {
			t.Errorf("%d+%d: got %q, want %q", tt.offset, tt.length, got, tt.want)
		}
	}
}

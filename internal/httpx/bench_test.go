package httpx

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// answerHead is a cached tag's HEAD, without the cache.
func answerHead(w http.ResponseWriter, _ *http.Request) {
	*RecordOf(w) = Record{Kind: "manifest", Repository: "docker.io/library/nginx", Reference: "1.27", Cache: "hit"}
	header := w.Header()
	header["Content-Type"] = []string{"application/vnd.oci.image.index.v1+json"}
	header["Content-Length"] = []string{"10240"}
	w.WriteHeader(http.StatusOK)
}

func observed(tb testing.TB, level string) http.Handler {
	tb.Helper()
	log, err := logging.New(level, "json", io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	return Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(log), http.HandlerFunc(answerHead))
}

// BenchmarkHead compares a server behind Observe with a bare one, the client's work included in both.
func BenchmarkHead(b *testing.B) {
	for name, handler := range map[string]http.Handler{
		"bare":             http.HandlerFunc(answerHead),
		"observed, logged": observed(b, "info"),
		"observed, quiet":  observed(b, "error"),
	} {
		b.Run(name, func(b *testing.B) { benchmarkHead(b, handler) })
	}
}

func benchmarkHead(b *testing.B, handler http.Handler) {
	ln, err := Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, Options{Log: logr.Discard()}) }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", ln.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if err := head(conn, in); err != nil {
				b.Error(err)
				return
			}
		}
	})
	stop()
	if err := <-served; err != nil {
		b.Error(err)
	}
}

// head is as little of a client as can be.
func head(conn net.Conn, in *bufio.Reader) error {
	if _, err := io.WriteString(conn, "HEAD /v2/library/nginx/manifests/1.27 HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		return err
	}
	for {
		if line, err := in.ReadSlice('\n'); err != nil || len(line) == 2 {
			return err
		}
	}
}

// nowhere is a writer that costs nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

func note(w http.ResponseWriter, _ *http.Request) {
	*RecordOf(w) = Record{Kind: "manifest", Repository: "docker.io/library/nginx", Reference: "1.27", Cache: "hit"}
	w.WriteHeader(http.StatusOK)
}

func BenchmarkObserve(b *testing.B) {
	for _, log := range []struct{ level, format string }{{"info", "text"}, {"info", "json"}, {"error", "json"}} {
		b.Run(log.level+" "+log.format, func(b *testing.B) {
			log, err := logging.New(log.level, log.format, io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			handler := Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(log.WithName("access")), http.HandlerFunc(note))
			r := httptest.NewRequestWithContext(b.Context(), http.MethodHead, "/v2/library/nginx/manifests/1.27", nil)
			var w http.ResponseWriter = nowhere{}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(w, r)
			}
		})
	}
}

func TestObserve_AllocatesNothingWithoutTheLog(t *testing.T) {
	handler := Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(logr.Discard()), http.HandlerFunc(note))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil)
	var w http.ResponseWriter = nowhere{}
	// Under the race detector sync.Pool drops some of what it is given, on purpose.
	if n := testing.AllocsPerRun(1000, func() { handler.ServeHTTP(w, r) }); n >= 1 {
		t.Errorf("%.1f allocations a request, want none", n)
	}
}

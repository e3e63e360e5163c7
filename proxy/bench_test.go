package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BenchmarkHead compares HEAD of a cached tag inside its interval with the least that net/http can do, over real sockets with
// a client that costs next to nothing. Compare the two requests/s: the target is 0.75 of the bare server's.
func BenchmarkHead(b *testing.B) {
	f := &fake{outcome: cache.Outcome{Kind: cache.Hit, TTL: time.Hour}}
	handlers := []struct {
		name    string
		handler http.Handler
	}{
		{"Bare", http.HandlerFunc(bare)},
		{"Path", newHandler(quiet{f}, f, Options{Log: logr.Discard()})},
	}
	for _, h := range handlers {
		b.Run(h.name, func(b *testing.B) { hammer(b, h.handler, "/v2/docker.io/library/nginx/manifests/1.27") })
	}
	b.Run("Mirror", func(b *testing.B) {
		hammer(b, handlers[1].handler, "/v2/library/nginx/manifests/1.27?ns=docker.io")
	})
}

// quiet is a fake that keeps no books.
type quiet struct{ *fake }

func (q quiet) ResolveManifest(context.Context, imageref.Repository, string) (ocispec.Descriptor, cache.Outcome, error) {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: manifestDigest, Size: int64(len(manifestBody)),
	}, q.outcome, nil
}

func bare(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", ocispec.MediaTypeImageManifest)
	header.Set("Content-Length", "76")
	w.WriteHeader(http.StatusOK)
}

func hammer(b *testing.B, h http.Handler, target string) {
	s := httptest.NewServer(h)
	defer s.Close()
	request := []byte("HEAD " + target + " HTTP/1.1\r\nHost: larder\r\n\r\n")
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		answer := bufio.NewReader(conn)
		for pb.Next() {
			if err := roundTrip(conn, answer, request); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// roundTrip sends a HEAD and reads the answer up to the empty line that ends it.
func roundTrip(conn net.Conn, answer *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	line, err := answer.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", line)
	}
	for len(line) > len("\r\n") {
		if line, err = answer.ReadSlice('\n'); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkHandler is the handler's own share of a HEAD.
func BenchmarkHandler(b *testing.B) {
	f := &fake{outcome: cache.Outcome{Kind: cache.Hit, TTL: time.Hour}}
	h := newHandler(quiet{f}, f, Options{Log: logr.Discard()})
	r := httptest.NewRequestWithContext(b.Context(), http.MethodHead, "/v2/docker.io/library/nginx/manifests/1.27", nil)
	w := nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header       { return w.header }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// A client sees a broken connection, and never a short blob that looks whole, when the bytes cannot be finished.
func TestBlob_B4_FailureBreaksTheConnection(t *testing.T) {
	t.Parallel()
	tests := map[string]*fake{
		"Before the first byte": {stream: func(io.Writer) error { return errors.New("origin gone") }},
		"Before the last byte":  {stream: failAfter("0123456789")},
		"At the last byte":      {stream: failAfter(blobBody[:len(blobBody)-1])},
		"Of unknown length":     {stream: failAfter("0123456789"), unsized: true},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, serve(t, f), "GET", blobPath)
			if got.StatusCode != http.StatusOK || !errors.Is(got.err, io.ErrUnexpectedEOF) {
				t.Errorf("status %d, then %v; want 200, then %v", got.StatusCode, got.err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func failAfter(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := io.WriteString(w, s); err != nil {
			return err
		}
		return errors.New("origin gone")
	}
}

func TestBlob_B5_RedirectsToObjectStorage(t *testing.T) {
	t.Parallel()
	const url = "http://bucket.example/key?signature=x"
	addr := serve(t, &fake{url: url})
	for name, tt := range map[string]struct {
		method, path, location string
		status                 int
	}{
		"GET":                    {"GET", blobPath, url, http.StatusTemporaryRedirect},
		"As a mirror":            {"GET", "/v2/team/app/blobs/" + string(blobDigest) + "?ns=reg.example", url, http.StatusTemporaryRedirect},
		"HEAD is answered":       {"HEAD", blobPath, "", http.StatusOK},
		"What is not stored":     {"GET", "/v2/reg.example/team/app/blobs/" + string(manifestDigest), "", http.StatusNotFound},
		"A manifest is not sent": {"GET", "/v2/reg.example/team/app/manifests/1.27", "", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, addr, tt.method, tt.path)
			if got.StatusCode != tt.status || got.Header.Get("Location") != tt.location {
				t.Errorf("got status %d to %q, want %d to %q", got.StatusCode, got.Header.Get("Location"), tt.status, tt.location)
			}
			if tt.location != "" && (got.Header.Get("Cache-Status") != "larder; hit" || got.Header.Get("Docker-Content-Digest") != string(blobDigest)) {
				t.Errorf("got the header %v, want a hit and the digest", got.Header)
			}
		})
	}
}

// The headers, and each byte as it arrives, are with the client while the rest is still to come.
func TestBlob_B1_BytesAsTheyArrive(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	f := &fake{stream: func(w io.Writer) error {
		<-goOn
		_, err := io.WriteString(w, blobBody)
		return err
	}}
	conn, err := net.Dial("tcp", serve(t, f))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+blobPath+" HTTP/1.1\r\nHost: larder\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	close(goOn)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != blobBody {
		t.Errorf("body %q, %v; want %q", body, err, blobBody)
	}
}

// All of a file is left to the connection's ReadFrom, which is where sendfile happens: net/http has nothing to sniff.
func TestBlob_B5_FileGoesToTheSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte(blobBody), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fake{stream: func(w io.Writer) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		_, err = w.(io.ReaderFrom).ReadFrom(file)
		return err
	}}
	observed := httpx.Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(logr.Discard()), newHandler(f, f, Options{Log: testr.New(t)}))
	s := httptest.NewUnstartedServer(observed)
	copied := new(atomic.Int64)
	s.Listener = countingListener{s.Listener, copied}
	s.Start()
	got := exchange(t, s.Listener.Addr().String(), "GET", blobPath)
	s.Close() // waits for the handler
	if got.body != blobBody || got.err != nil {
		t.Fatalf("body %q, %v; want %q", got.body, got.err, blobBody)
	}
	if n := copied.Load(); n != int64(len(blobBody)) {
		t.Errorf("the connection's ReadFrom took %d bytes, want all %d", n, len(blobBody))
	}
}

// countingListener's connections count the bytes that they take by ReadFrom.
type countingListener struct {
	net.Listener
	copied *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{TCPConn: conn.(*net.TCPConn), copied: l.copied}, nil
}

type countingConn struct {
	*net.TCPConn
	copied *atomic.Int64
}

func (c *countingConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.copied.Add(n)
	return n, err
}

// A range of a blob whose length nobody knows cannot be a 206, which says where it ends: the whole comes instead.
func TestBlob_B8_RangeOfUnknownLength(t *testing.T) {
	t.Parallel()
	f := &fake{unsized: true}
	got := exchange(t, serve(t, f), "GET", blobPath, "Range: bytes=5-9")
	if got.StatusCode != http.StatusOK || got.body != blobBody || got.Header.Get("Content-Range") != "" {
		t.Errorf("%d %q %q, want 200 and the whole", got.StatusCode, got.body, got.Header.Get("Content-Range"))
	}
	want := []fetch.Range{{Partial: true, Start: 5, End: 10}}
	if diff := cmp.Diff(want, f.opened()); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
}

// A client that knows a blob's digest has no right to be told that it is here: the cache is asked before a 304.
func TestBlob_B6_ConditionalAsksTheCache(t *testing.T) {
	t.Parallel()
	f := &fake{err: refusal(http.StatusForbidden, cache.CodeDenied, "docker.io answered 403")}
	got := exchange(t, serve(t, f), "GET", blobPath, `If-None-Match: "`+blobDigest.String()+`"`)
	checkRefusal(t, got, http.StatusForbidden, "DENIED", "")
}

func TestBlob_HeadOpensNothing(t *testing.T) {
	t.Parallel()
	f := &fake{}
	addr := serve(t, f)
	exchange(t, addr, "HEAD", blobPath)
	exchange(t, addr, "GET", blobPath, "If-None-Match: *")
	if opened := f.opened(); len(opened) != 0 {
		t.Errorf("opened %v for answers without a body", opened)
	}
}

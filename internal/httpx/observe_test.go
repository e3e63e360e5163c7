package httpx

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// access runs one request through Observe on a real server and returns its access line, without the parts that differ from run
// to run, and the registry that counted it.
func access(t *testing.T, method, target string, handler http.HandlerFunc) (line string, reg *prometheus.Registry) {
	t.Helper()
	reg = prometheus.NewRegistry()
	lines := make(chan string, 2)
	log := funcr.New(func(_, args string) { lines <- args }, funcr.Options{})
	server := httptest.NewServer(Observe(metrics.New(reg), logging.NewTyped(log), handler))
	defer server.Close()
	server.Config.ErrorLog = nil
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	if resp, err := server.Client().Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	line = <-lines
	if len(lines) > 0 {
		t.Errorf("a second line: %s", <-lines)
	}
	return stable(line), reg
}

// stable cuts the duration's and the client's values out of an access line.
func stable(line string) string {
	before, after, _ := strings.Cut(line, `"duration"=`)
	_, after, _ = strings.Cut(after, " ")
	after, rest, _ := strings.Cut(after, ` "client"=`)
	if _, more, ok := strings.Cut(rest, " "); ok {
		after += " " + more
	}
	return strings.TrimPrefix(before, `"level"=0 "msg"="request" `) + after
}

func TestObserve_OneLineARequest(t *testing.T) {
	t.Parallel()
	const repository = "docker.io/library/nginx"
	for name, test := range map[string]struct {
		method, target string
		handler        http.HandlerFunc
		want           string
	}{
		"A manifest": {"GET", "/v2/nginx/manifests/1?ns=docker.io&token=secret",
			func(w http.ResponseWriter, _ *http.Request) {
				*RecordOf(w) = Record{Kind: "manifest", Repository: repository, Reference: "1", Cache: "hit"}
				_, _ = io.WriteString(w, "hello")
			},
			`"method"="GET" "kind"="manifest" "repository"="docker.io/library/nginx" "reference"="1" "status"=200 "bytes"=5 "cache"="hit"`},
		"A HEAD sends no body": {"HEAD", "/v2/nginx/manifests/1",
			func(w http.ResponseWriter, _ *http.Request) {
				*RecordOf(w) = Record{Kind: "manifest", Repository: repository, Reference: "1", Cache: "hit"}
				_, _ = io.WriteString(w, "hello")
			},
			`"method"="HEAD" "kind"="manifest" "repository"="docker.io/library/nginx" "reference"="1" "status"=200 "bytes"=0 "cache"="hit"`},
		"An error": {"GET", "/v2/x?token=secret",
			func(w http.ResponseWriter, _ *http.Request) { WriteError(w, 404, "NAME_UNKNOWN", "no", nil) },
			`"method"="GET" "kind"="other" "path"="/v2/x" "status"=404 "bytes"=51 "cache"="none"`},
		"An answer without a word": {"GET", "/v2/",
			func(w http.ResponseWriter, _ *http.Request) { RecordOf(w).Kind = "base" },
			`"method"="GET" "kind"="base" "path"="/v2/" "status"=200 "bytes"=0 "cache"="none"`},
		"The first status counts, information does not": {"GET", "/",
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusNoContent)
			},
			`"method"="GET" "kind"="other" "path"="/" "status"=204 "bytes"=0 "cache"="none"`},
		"A broken transfer": {"GET", "/v2/nginx/blobs/x",
			func(w http.ResponseWriter, _ *http.Request) {
				*RecordOf(w) = Record{Kind: "blob", Repository: repository, Reference: "x", Cache: "miss"}
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "some")
				panic(http.ErrAbortHandler)
			},
			`"method"="GET" "kind"="blob" "repository"="docker.io/library/nginx" "reference"="x" "status"=200 "bytes"=4 "cache"="miss" "aborted"=true`},
		"Broken off before a word": {"GET", "/",
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			`"method"="GET" "kind"="other" "path"="/" "status"=0 "bytes"=0 "cache"="none" "aborted"=true`},
		"A long path": {"GET", "/" + strings.Repeat("x", 1000),
			func(http.ResponseWriter, *http.Request) {},
			`"method"="GET" "kind"="other" "path"="/` + strings.Repeat("x", maxLoggedPath-1) + `" "status"=200 "bytes"=0 "cache"="none"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := access(t, test.method, test.target, test.handler)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("access line (-want +got):\n%s", diff)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("the line tells a secret: %s", got)
			}
		})
	}
}

func TestObserve_Metrics(t *testing.T) {
	t.Parallel()
	_, reg := access(t, "GET", "/", func(w http.ResponseWriter, _ *http.Request) {
		*RecordOf(w) = Record{Kind: "blob", Cache: "collapsed"}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "hello")
	})
	want := `
# HELP larder_client_bytes_total Body bytes sent to clients.
# TYPE larder_client_bytes_total counter
larder_client_bytes_total{kind="blob"} 5
# HELP larder_requests_total Requests by kind, method, status code and cache status.
# TYPE larder_requests_total counter
larder_requests_total{cache="collapsed",code="206",kind="blob",method="GET"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "larder_requests_total", "larder_client_bytes_total"); err != nil {
		t.Error(err)
	}
	for _, histogram := range []string{"larder_request_duration_seconds", "larder_request_first_byte_seconds"} {
		if n := observations(t, reg, histogram); n != 1 {
			t.Errorf("%s has %d observations, want 1", histogram, n)
		}
	}
}

func TestObserve_NothingSentHasNoFirstByte(t *testing.T) {
	t.Parallel()
	_, reg := access(t, "GET", "/", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if n := observations(t, reg, "larder_request_first_byte_seconds"); n != 0 {
		t.Errorf("%d first bytes, want none", n)
	}
	if n := observations(t, reg, "larder_request_duration_seconds"); n != 1 {
		t.Errorf("%d durations, want 1", n)
	}
}

func TestObserve_MadeUpMethodsShareALabel(t *testing.T) {
	t.Parallel()
	_, reg := access(t, "BREW", "/", func(http.ResponseWriter, *http.Request) {})
	if n, err := testutil.GatherAndCount(reg, "larder_requests_total"); err != nil || n != 1 {
		t.Fatalf("%d series, %v", n, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if text := families[len(families)-1].String(); strings.Contains(text, "BREW") {
		t.Errorf("the client made up a label: %s", text)
	}
}

func observations(t *testing.T, reg *prometheus.Registry, name string) (n uint64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			n += metric.GetHistogram().GetSampleCount()
		}
	}
	return n
}

func TestObserve_FirstByteIsNotTheLast(t *testing.T) {
	t.Parallel()
	m := metrics.New(prometheus.NewRegistry())
	w := newResponse(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	w.start = time.Now().Add(-time.Hour)
	w.WriteHeader(http.StatusOK)
	w.start = time.Now().Add(-2 * time.Hour)
	if duration := w.finish(true); duration.Round(time.Minute) != 2*time.Hour || w.firstByte.Round(time.Minute) != time.Hour {
		t.Errorf("duration %s, first byte %s, want 2h and 1h", duration, w.firstByte)
	}
	newSeries(m).of(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)).observe(w, time.Second)
}

func TestObserve_LetsPanicsThrough(t *testing.T) {
	t.Parallel()
	cause := errors.New("broken")
	handler := Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(logr.Discard()), http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { panic(cause) }))
	defer func() {
		if p := recover(); p != cause { //nolint:errorlint // the very value
			t.Errorf("recovered %v, want %v", p, cause)
		}
	}()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
}

func TestRecordOf_WithoutObserve(t *testing.T) {
	t.Parallel()
	RecordOf(httptest.NewRecorder()).Kind = "blob" // lost, but no panic
}

func TestRecordOf_BehindAnotherWrapper(t *testing.T) {
	t.Parallel()
	inner := newResponse(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if got := RecordOf(wrapper{inner}); got != &inner.record {
		t.Error("the record is not the response's own")
	}
}

type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sink is a writer as net/http's: it tells what it was given to read from.
type sink struct {
	*httptest.ResponseRecorder
	source io.Reader
}

func (s *sink) ReadFrom(src io.Reader) (int64, error) {
	s.source = src
	return io.Copy(s.ResponseRecorder, src)
}

func TestResponse_KeepsTheWayToSendfile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]func(*os.File) io.Reader{
		"A file":           func(f *os.File) io.Reader { return f },
		"A part of a file": func(f *os.File) io.Reader { return io.LimitReader(f, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			inner := &sink{ResponseRecorder: httptest.NewRecorder()}
			w := newResponse(inner, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
			n, err := io.Copy(w, src(file))
			if err != nil || n != w.bytes || n != int64(inner.Body.Len()) || w.status != http.StatusOK {
				t.Errorf("copied %d, %v; counted %d with status %d; arrived %d", n, err, w.bytes, w.status, inner.Body.Len())
			}
			source := inner.source
			if limited, ok := source.(*io.LimitedReader); ok {
				source = limited.R
			}
			if _, ok := source.(interface{ Fd() uintptr }); !ok {
				t.Errorf("the inner writer reads from %T, which is no file", inner.source)
			}
		})
	}
}

func TestResponse_FlushSendsTheHeaders(t *testing.T) {
	t.Parallel()
	inner := httptest.NewRecorder()
	w := newResponse(inner, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Fatal(err)
	}
	if !inner.Flushed || w.status != http.StatusOK {
		t.Errorf("flushed: %t, status %d", inner.Flushed, w.status)
	}
}

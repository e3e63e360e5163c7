package upstream

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// unlessPing answers the ping and leaves the rest to h.
func unlessPing(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			h(w, r)
		}
	}
}

func TestManifest_WrongAnswers(t *testing.T) {
	t.Parallel()
	body := func(headers map[string]string, content string) http.HandlerFunc {
		return unlessPing(func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			fmt.Fprint(w, content)
		})
	}
	byDigest := digest.FromString(manifestBody).String()
	for _, tt := range []struct {
		name, reference string
		h               http.HandlerFunc
		reason          Reason
		mismatches      float64
	}{
		{"Body of another digest", byDigest, body(nil, `{}`), Invalid, 1},
		{"Header of another digest", "latest", body(map[string]string{"Docker-Content-Digest": byDigest}, `{}`), Invalid, 1},
		{"A web page", "latest", body(map[string]string{"Content-Type": "text/html"}, `<html>`), Invalid, 0},
		{"Too large by its length", "latest", body(nil, `{"a":"`+strings.Repeat("x", manifest.MaxSize)+`"}`), Invalid, 0},
		{"Too large without a length", "latest", unlessPing(func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, `{"a":"`+strings.Repeat("x", manifest.MaxSize)+`"}`)
		}), Invalid, 0},
		{"Compressed though not asked for", "latest", unlessPing(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, manifestBody)
			_ = z.Close()
		}), Invalid, 0},
		{"Cut off", "latest", unlessPing(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, manifestBody)
			panic(http.ErrAbortHandler)
		}), Unreachable, 0},
		{"No content", "latest", unlessPing(answering(204)), Invalid, 0},
		{"Bad request", "latest", unlessPing(answering(400)), Invalid, 0},
		{"Gateway timeout", "latest", unlessPing(answering(504)), Unreachable, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.h)
			m := metrics.New(prometheus.NewRegistry())
			c := newClientWith(t, Options{Registries: []Registry{at("reg.test", s.URL)}, Metrics: m})
			_, err := c.Manifest(t.Context(), app("reg.test"), tt.reference)
			_ = wantError(t, err, tt.reason)
			if got := testutil.ToFloat64(m.DigestMismatches.WithLabelValues("reg.test")); got != tt.mismatches {
				t.Errorf("%g mismatches counted, want %g", got, tt.mismatches)
			}
		})
	}
}

func TestResolveManifest_FallsBackToGET(t *testing.T) {
	t.Parallel()
	dgst := digest.FromString(manifestBody)
	for _, tt := range []struct {
		name, reference string
		head            func(http.Header) int // the status of HEAD
		fetched         bool
	}{
		{"Digest told", "latest", func(h http.Header) int {
			h.Set("Docker-Content-Digest", dgst.String())
			return 200
		}, false},
		{"Digest asked for", dgst.String(), func(http.Header) int { return 200 }, false},
		{"Digest missing", "latest", func(http.Header) int { return 200 }, true},
		{"Digest malformed", "latest", func(h http.Header) int {
			h.Set("Docker-Content-Digest", "sha256:nonsense")
			return 200
		}, true},
		{"HEAD not allowed", "latest", func(http.Header) int { return 405 }, true},
		{"HEAD not implemented", "latest", func(http.Header) int { return 501 }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, unlessPing(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", manifestType+"; charset=utf-8")
				w.Header().Set("Content-Length", fmt.Sprint(len(manifestBody)))
				if r.Method == http.MethodHead {
					w.WriteHeader(tt.head(w.Header()))
					return
				}
				fmt.Fprint(w, manifestBody)
			}))
			desc, m, err := newClient(t, at("reg.test", s.URL)).ResolveManifest(t.Context(), app("reg.test"), tt.reference)
			must(t, err)
			if desc.Digest != dgst || desc.MediaType != manifestType || desc.Size != int64(len(manifestBody)) {
				t.Errorf("got %+v", desc)
			}
			if (m != nil) != tt.fetched || m != nil && string(m.Body) != manifestBody {
				t.Errorf("got manifest %v, want one: %t", m, tt.fetched)
			}
		})
	}
}

func TestManifest_MediaTypeOfOneThatHasNoHeader(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"mediaType":"application/vnd.oci.image.index.v1+json"}`: "application/vnd.oci.image.index.v1+json",
		`{"layers":[]}`:    manifestType,
		`{"manifests":[]}`: ocispec.MediaTypeImageIndex,
	} {
		s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, content)
		}))
		m, err := newClient(t, at("reg.test", s.URL)).Manifest(t.Context(), app("reg.test"), "latest")
		must(t, err)
		if m.MediaType != want {
			t.Errorf("got %s for %s, want %s", m.MediaType, content, want)
		}
	}
}

func TestManifest_OneFixedAcceptUnderAnEndpointsPath(t *testing.T) {
	t.Parallel()
	accept := make(chan string, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/prefix/v2/team/app/manifests/latest" {
			accept <- r.Header.Get("Accept")
			serveManifest(w, r)
		}
	})
	_, err := newClient(t, at("reg.test", s.URL+"/prefix/")).Manifest(t.Context(), app("reg.test"), "latest")
	must(t, err)
	want := "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
		"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
	if diff := cmp.Diff(want, <-accept); diff != "" {
		t.Error(diff)
	}
}

func TestError_RateLimitTellsWhen(t *testing.T) {
	t.Parallel()
	s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(429)
	}))
	_, err := newClient(t, at("reg.test", s.URL)).Manifest(t.Context(), app("reg.test"), "latest")
	if e := wantError(t, err, RateLimited); e.RetryAfter != 90*time.Second || e.Status != 429 {
		t.Errorf("got %+v", e)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"soon":                          0,
		"120":                           2 * time.Minute,
		"2147483647":                    maxRetryAfter,
		"99999999999999999999":          0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("Retry-After %q: got %s, want %s", header, got, want)
		}
	}
}

package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler_AccessRecord(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	tests := map[string]struct {
		outcome cache.Outcome
		target  string
		want    httpx.Record
	}{
		"A manifest": {cache.Outcome{Kind: cache.Hit, TTL: time.Hour}, "/v2/nginx/manifests/1.27",
			httpx.Record{Kind: "manifest", Repository: "docker.io/library/nginx", Reference: "1.27", Cache: "hit"}},
		"A blob": {cache.Outcome{Kind: cache.Miss, Stored: true}, "/v2/app/blobs/" + blobDigest.String() + "?ns=reg.example",
			httpx.Record{Kind: "blob", Repository: "reg.example/app", Reference: blobDigest.String(), Cache: "miss"}},
		"Tags": {cache.Outcome{Kind: cache.Revalidated}, "/v2/ghcr.io/a/tags/list",
			httpx.Record{Kind: "tags", Repository: "ghcr.io/a", Cache: "revalidated"}},
		"Referrers": {cache.Outcome{Kind: cache.Stale, Why: "429"}, "/v2/ghcr.io/a/referrers/" + blobDigest.String(),
			httpx.Record{Kind: "referrers", Repository: "ghcr.io/a", Reference: blobDigest.String(), Cache: "stale"}},
		"Joined": {cache.Outcome{Kind: cache.Collapsed}, "/v2/nginx/manifests/1.27",
			httpx.Record{Kind: "manifest", Repository: "docker.io/library/nginx", Reference: "1.27", Cache: "collapsed"}},
		"The base":       {cache.Outcome{}, "/v2/", httpx.Record{Kind: "base", Cache: ""}},
		"Something else": {cache.Outcome{}, "/v2/_catalog", httpx.Record{Kind: "other", Cache: ""}},
		"A bad name": {cache.Outcome{}, "/v2/A/manifests/1",
			httpx.Record{Kind: "manifest", Reference: "1"}},
		"An endless reference": {cache.Outcome{}, "/v2/a/manifests/" + long,
			httpx.Record{Kind: "manifest", Repository: "docker.io/library/a", Reference: long[:256]}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{outcome: tt.outcome}
			h := newHandler(f, f, Options{Log: testr.New(t)})
			var got httpx.Record
			observed := httpx.Observe(metrics.New(prometheus.NewRegistry()), logging.NewTyped(testr.New(t)), http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					h.ServeHTTP(w, r)
					got = *httpx.RecordOf(w)
				}))
			w := httptest.NewRecorder()
			observed.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", tt.target, nil))
			if told := got.Error != ""; told != (w.Code >= http.StatusBadRequest) || len(got.Error) > maxLogged {
				t.Errorf("status %d is explained by %q, of %d bytes", w.Code, got.Error, len(got.Error))
			}
			got.Error = ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

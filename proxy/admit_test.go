package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

func TestHandler_A1_NothingOfARepositoryIsAnsweredBeforeItIsAdmitted(t *testing.T) {
	t.Parallel()
	repo := imageref.Repository{Host: "reg.example", Path: "team/app"}
	blob, manifest := blobDigest.String(), manifestDigest.String()
	for target, want := range map[string]upstream.Probe{
		"/v2/reg.example/team/app/manifests/1.27":         {Reference: "1.27"},
		"/v2/reg.example/team/app/manifests/" + manifest:  {Reference: manifest},
		"/v2/reg.example/team/app/manifests/-":            {},
		"/v2/reg.example/team/app/blobs/" + blob:          {Blob: blobDigest},
		"/v2/reg.example/team/app/blobs/short":            {},
		"/v2/reg.example/team/app/tags/list":              {},
		"/v2/reg.example/team/app/referrers/" + manifest:  {Reference: manifest},
		"/v2/team/app/manifests/1.27?ns=reg.example":      {Reference: "1.27"},
		"/v2/team/app/blobs/" + blob + "?ns=REG.example":  {Blob: blobDigest},
		"/v2/reg.example/team/app/tags/list?n=1&last=abc": {},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			f := &fake{}
			var got grant.Request
			h := newHandler(f, f, Options{Log: testr.New(t), Redirect: true, Admit: func(_ context.Context, r grant.Request) error {
				got = r
				return &grant.Refusal{Reason: grant.NoPod, Message: "no pod uses it"}
			}})
			r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
			r.Header.Set("Larder-Node", "node-1")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || f.lastAsked() != "" || len(f.opened()) > 0 {
				t.Errorf("%s %s: %d, and the cache was asked for %q", method, target, w.Code, f.lastAsked())
			}
			if method == http.MethodGet && (!strings.Contains(w.Body.String(), "DENIED") || !strings.Contains(w.Body.String(), "no pod uses it")) {
				t.Errorf("%s: it says %s", target, w.Body)
			}
			if diff := cmp.Diff(grant.Request{Node: "node-1", Repo: repo, Probe: want}, got); diff != "" {
				t.Errorf("%s: asked was for (-want +got):\n%s", target, diff)
			}
		}
	}
}

func TestHandler_A1_AdmittedIsAnswered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		node []string
		want int
	}{
		"Admitted":                      {nil, []string{"node-1"}, http.StatusOK},
		"Two nodes are none":            {nil, []string{"node-1", "node-2"}, http.StatusOK},
		"Not at the origin":             {&grant.Refusal{Reason: grant.NotFound}, nil, http.StatusNotFound},
		"Too late":                      {context.DeadlineExceeded, nil, http.StatusGatewayTimeout},
		"What nobody thought of is 500": {errors.New("what"), nil, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			h := newHandler(f, f, Options{Log: testr.New(t), Admit: func(_ context.Context, r grant.Request) error {
				if (len(tt.node) == 1) != (r.Node != "") {
					t.Errorf("the node is %q", r.Node)
				}
				return tt.err
			}})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/nginx/manifests/1.27", nil)
			r.Header["Larder-Node"] = tt.node
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
		})
	}
}

// BenchmarkHandler_Admit is BenchmarkHandler with the question who asks.
func BenchmarkHandler_Admit(b *testing.B) {
	f := &fake{outcome: cache.Outcome{Kind: cache.Hit, TTL: time.Hour}}
	h := newHandler(quiet{f}, f, Options{Log: logr.Discard(), Admit: func(context.Context, grant.Request) error { return nil }})
	r := httptest.NewRequestWithContext(b.Context(), http.MethodHead, "/v2/docker.io/library/nginx/manifests/1.27", nil)
	r.Header.Set("Larder-Node", "node-1")
	w := nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

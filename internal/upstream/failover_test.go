package upstream

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/port"
)

func answering(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func TestEndpoints_AnyFailureMovesOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"Not found", answering(404)}, {"Forbidden", answering(403)}, {"Unauthorized", answering(401)},
		{"Rate limit", answering(429)}, {"Server error", answering(500)}, {"Garbage", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
		}}, {"Broken connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad, good := serve(t, tt.h), serve(t, serveManifest)
			_, err := newClient(t, at("reg.test", bad.URL, good.URL)).Manifest(t.Context(), app("reg.test"), "latest")
			must(t, err)
		})
	}
}

func TestEndpoints_TheLastOnesAnswerCounts(t *testing.T) {
	t.Parallel()
	closed := "http://" + port.New(t).String()
	notFound, denied := serve(t, answering(404)), serve(t, answering(403))
	for _, tt := range []struct {
		name      string
		endpoints []string
		reason    Reason
	}{
		{"A mirror that is down, an origin that says no", []string{closed, notFound.URL}, NotFound},
		{"A mirror that says no, an origin that is down", []string{notFound.URL, closed}, Unreachable},
		{"Two that answer", []string{notFound.URL, denied.URL}, Denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, at("reg.test", tt.endpoints...))
			for range 2 { // the second time with the one that is down asked last
				_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
				_ = wantError(t, err, tt.reason)
			}
		})
	}
}

func TestEndpoints_OneThatIsDownIsTriedLast(t *testing.T) {
	t.Parallel()
	address := port.New(t).String()
	good := serve(t, serveManifest)
	var mu sync.Mutex
	var lines []string
	log := funcr.New(func(_, line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}, funcr.Options{})
	c := newClientWith(t, Options{Registries: []Registry{at("reg.test", "http://"+address, good.URL)}, Log: log})
	for range 3 {
		_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
		must(t, err)
	}
	o := c.listed["reg.test"]
	if got := o.order(time.Now()); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("order %v after the first endpoint failed, want it last", got)
	}
	if got := o.order(time.Now().Add(downFor)); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("order %v after %s, want the configured one", got, downFor)
	}
	if len(lines) != 1 {
		t.Errorf("logged %q, want one line: only the first failure is news", lines)
	}
}

func TestEndpoints_HangingOneIsGivenUpWhereOthersWait(t *testing.T) {
	t.Parallel()
	good := serve(t, serveManifest)
	hanging := make(chan struct{})
	bad := serve(t, func(http.ResponseWriter, *http.Request) { <-hanging })
	t.Cleanup(func() { close(hanging) })
	c := newClient(t, at("reg.test", bad.URL, good.URL))
	started := time.Now()
	_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
	must(t, err)
	if took := time.Since(started); took < patienceForOne || took >= headerTimeout { // which is how long it is waited for where none waits
		t.Errorf("took %s, want about %s", took, patienceForOne)
	}
	if got := c.listed["reg.test"].order(time.Now()); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("order %v, want the hanging endpoint last", got)
	}
}

func TestEndpoints_TheCallersEndIsTheEnd(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	second := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	hanging := make(chan struct{})
	first := serve(t, func(http.ResponseWriter, *http.Request) { <-hanging })
	t.Cleanup(func() { close(hanging) })
	c := newClient(t, at("reg.test", first.URL, second.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := c.Manifest(ctx, app("reg.test"), "latest")
	if e := wantError(t, err, Unreachable); !e.Timeout {
		t.Errorf("got %+v, want a timeout", e)
	}
	if asked.Load() != 0 {
		t.Error("the second endpoint was asked though the caller had left")
	}
}

func TestReferrers_D2_OnlyNotFoundTwiceIsEmpty(t *testing.T) {
	t.Parallel()
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	status := func(api, tag int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v2/":
			case "/v2/team/app/referrers/" + digest.FromString("x").String():
				w.WriteHeader(api)
			default:
				w.WriteHeader(tag)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		reason Reason
	}{
		{"Not found twice", status(404, 404), ""},
		{"API fails", status(500, 404), Unreachable},
		{"API denied", status(403, 404), Denied},
		{"Tag fails", status(404, 500), Unreachable},
		{"Tag denied", status(404, 401), Denied},
		{"Tag rate-limited", status(404, 429), RateLimited},
		{"API answers something else", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"hello":"world"}`))
		}, Invalid},
		{"Second page missing", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				w.WriteHeader(404)
				return
			}
			w.Header().Set("Link", `<?page=2>; rel="next"`)
			_, _ = w.Write([]byte(index))
		}, Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.h)
			got, err := newClient(t, at("reg.test", s.URL)).Referrers(t.Context(), app("reg.test"), digest.FromString("x"))
			if tt.reason != "" {
				_ = wantError(t, err, tt.reason)
				return
			}
			if must(t, err); got == nil || len(got) != 0 {
				t.Errorf("got %v, want an empty list", got)
			}
		})
	}
}

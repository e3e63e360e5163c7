package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/go-logr/logr/testr"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestNames_ServedToWhoHoldsTheToken(t *testing.T) {
	t.Parallel()
	current, known := &policy.Current{}, false
	face := &namesFace{
		policies: current, known: func() bool { return known }, holds: func(token string) bool { return token == "right" },
		held: prometheus.NewGauge(prometheus.GaugeOpts{}), log: testr.New(t),
		next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	}
	ask := func(method, path string, header ...string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequestWithContext(t.Context(), method, path, nil), httptest.NewRecorder()
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		face.ServeHTTP(w, r)
		return w
	}
	right := []string{"Authorization", "Bearer right"}
	for name, tt := range map[string]struct {
		got  *httptest.ResponseRecorder
		want int
	}{
		"Anything else goes on":      {ask("GET", "/v2/"), http.StatusTeapot},
		"No token":                   {ask("GET", names.Path), http.StatusUnauthorized},
		"A wrong token":              {ask("GET", names.Path, "Authorization", "Bearer wrong"), http.StatusUnauthorized},
		"Another method":             {ask("PUT", names.Path, right...), http.StatusMethodNotAllowed},
		"Policies that nobody knows": {ask("GET", names.Path, right...), http.StatusServiceUnavailable},
	} {
		if tt.got.Code != tt.want {
			t.Errorf("%s: got %d, want %d", name, tt.got.Code, tt.want)
		}
		if tt.want == http.StatusServiceUnavailable && tt.got.Header().Get("Retry-After") == "" {
			t.Error("a proxy would take the replica for one that goes down")
		}
	}
	known = true
	first := ask("GET", names.Path, right...)
	if first.Code != http.StatusOK || first.Body.String() != `{"repositories":[]}` {
		t.Errorf("no policies: %d %s", first.Code, first.Body)
	}
	etag := first.Header().Get("Etag")
	if got := ask("GET", names.Path, append(right, "If-None-Match", etag)...); got.Code != http.StatusNotModified || got.Body.Len() != 0 {
		t.Errorf("unchanged: %d %s", got.Code, got.Body)
	}
	set, problems := policy.Compile([]v1alpha1.Repository{{Spec: v1alpha1.RepositorySpec{Name: "nginx", Origin: "registry.corp/nginx"}}}, nil, policy.Defaults{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	current.Store(set)
	changed := ask("GET", names.Path, append(right, "If-None-Match", etag)...)
	if changed.Code != http.StatusOK || !strings.Contains(changed.Body.String(), "registry.corp/nginx") {
		t.Errorf("changed: %d %s", changed.Code, changed.Body)
	}
}

// TestNames_MoreThanAProxyTakesIsSeen: what a proxy cannot be told whole it is told to hold, and an administrator sees that, once.
func TestNames_MoreThanAProxyTakesIsSeen(t *testing.T) {
	t.Parallel()
	var said []string
	current := &policy.Current{}
	face := &namesFace{
		policies: current, held: prometheus.NewGauge(prometheus.GaugeOpts{}),
		log: funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{}),
	}
	for range 2 { // generations
		var all []v1alpha1.Repository
		for i := range 60_000 {
			name := fmt.Sprintf("registry.example.com/team-of-some-name/service-%06d", i)
			all = append(all, v1alpha1.Repository{Spec: v1alpha1.RepositorySpec{Name: name, Origin: fmt.Sprintf("registry.corp/hardened/service-%06d", i)}})
		}
		set, problems := policy.Compile(all, nil, policy.Defaults{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		current.Store(set)
		w := httptest.NewRecorder()
		face.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, names.Path, nil))
		told, err := names.Read(w.Body.Bytes())
		if err != nil || told.Len() != len(all) {
			t.Fatalf("%d of %d, %v", told.Len(), len(all), err)
		}
	}
	if held := testutil.ToFloat64(face.held); held < 1 {
		t.Errorf("%v are said to be held", held)
	}
	if len(said) != 1 || !strings.Contains(said[0], "more names than proxies can be told") {
		t.Errorf("the log says %q, want it once", said)
	}
}

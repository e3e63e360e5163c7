package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/policy"
)

func TestNames_ServedToWhoHoldsTheToken(t *testing.T) {
	t.Parallel()
	current, known := &policy.Current{}, false
	face := &namesFace{
		policies: current, known: func() bool { return known }, holds: func(token string) bool { return token == "right" },
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

package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
)

func TestHandler_AnswersOnlyWhoHasTheToken(t *testing.T) {
	t.Parallel()
	targets := []string{
		"/v2/", "/v2/nginx/manifests/1.27", "/v2/nginx/manifests/1.27?ns=docker.io", "/v2/nginx/tags/list",
		"/v2/nginx/blobs/" + blobDigest.String(), "/v2/nginx/referrers/" + blobDigest.String(), "/v2/_catalog",
	}
	for name, tt := range map[string]struct {
		authorization string
		admitted      bool
	}{
		"The token":             {"Bearer right", true},
		"In another case":       {"bearer right", true},
		"No header":             {"", false},
		"Another token":         {"Bearer wrong", false},
		"As a password":         {"Basic right", false},
		"Without a scheme":      {"right", false},
		"With something behind": {"Bearer right right", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			h := newHandler(f, f, Options{Log: testr.New(t), Holds: func(token string) bool { return token == "right" }})
			for _, target := range targets {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
				if tt.authorization != "" {
					r.Header.Set("Authorization", tt.authorization)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if admitted := w.Code != http.StatusUnauthorized; admitted != tt.admitted {
					t.Errorf("%s: %d %s", target, w.Code, w.Body)
				}
				if !tt.admitted && (!strings.Contains(w.Body.String(), "UNAUTHORIZED") || w.Header().Get("WWW-Authenticate") == "") {
					t.Errorf("%s: the refusal is %v %s", target, w.Header(), w.Body)
				}
			}
		})
	}
}

package relay

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// getAs asks the relay under another name.
func (w *world) getAs(t *testing.T, host, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// A page in a browser on the node whose name was made to resolve to the node (DNS rebinding) is still asked for by that name.
func TestHandler_AnswersByItsOwnNamesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	manifest, _, _ := w.push(t, "team/app")
	for host, own := range map[string]bool{
		"localhost:7439": true, "LOCALHOST:7439": true, "localhost": true, "127.0.0.1:7439": true, "[::1]:7439": true, "10.0.0.7:80": true,
		"evil.example": false, "evil.example:7439": false, "localhost.evil.example:7439": false, "127.0.0.1.evil.example": false,
		"evil.example:7439@localhost": false, "reg.example": false,
	} {
		before := len(w.replicas[0].requests())
		got := w.getAs(t, host, manifest)
		if answered := got == http.StatusOK; answered != own {
			t.Errorf("Host %s: %d", host, got)
		}
		if asked := len(w.replicas[0].requests()) > before; asked != own {
			t.Errorf("Host %s: the registry was asked: %t", host, asked)
		}
	}
}

// Nothing that is not a read gets further than the proxy when no registry answers, nor is anything changed where one does.
func TestHandler_PushesAndDeletesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	manifest, layer, _ := w.push(t, "team/app")
	uploads := manifest[:strings.LastIndex(manifest, "/manifests")] + "/blobs/uploads/"
	requests := w.origin.Count(origin.Everything())
	for _, alone := range []bool{false, true} {
		if alone {
			w.replicas[0].behave(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
		}
		for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			for _, path := range []string{manifest, layer, uploads} {
				if got := w.get(t, method, path); got.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s %s without a registry (%t): %d %s", method, path, alone, got.StatusCode, got.body)
				}
			}
		}
	}
	if n := w.origin.Count(origin.Everything()); n != requests {
		t.Errorf("the origin was asked %d times", n-requests)
	}
}

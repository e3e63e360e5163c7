package httpx

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func TestWriteError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message string
		detail  any
		want    string
	}{
		"Without a detail": {"manifest unknown", nil, `{"errors":[{"code":"X","message":"manifest unknown"}]}`},
		"With a detail": {`a "b"`, map[string]string{"tag": "1"},
			`{"errors":[{"code":"X","message":"a \"b\"","detail":{"tag":"1"}}]}`},
		"With a detail that has no JSON form": {"m", make(chan int), `{"errors":[{"code":"X","message":"m"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			w.Header().Set("Retry-After", "7")
			WriteError(w, http.StatusTooManyRequests, "X", test.message, test.detail)
			if w.Code != http.StatusTooManyRequests || w.Body.String() != test.want {
				t.Errorf("answered %d %s, want %s", w.Code, w.Body, test.want)
			}
			for key, want := range map[string]string{
				"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(test.want)), "Retry-After": "7",
			} {
				if got := w.Header().Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
		})
	}
}

package load

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

const manifestDigest = "sha256:11"

func serve(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestHeads_CountsRightAnswers(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/tag" {
			t.Errorf("got %s %s, want HEAD /tag", r.Method, r.URL.Path)
		}
		w.Header().Set("Docker-Content-Digest", manifestDigest)
		w.Header().Set("Content-Length", "7")
	})
	took, err := Heads(t.Context(), Head{Address: address, Path: "/tag", Digest: manifestDigest, Length: 7}, 4, 50*time.Millisecond)
	if err != nil || len(took) < 4 {
		t.Fatalf("got %d answers and %v, want some for each connection", len(took), err)
	}
	if took[0] <= 0 || took.Quantile(0.99) < took.Quantile(0.5) || took.Quantile(1) != took[len(took)-1] {
		t.Errorf("latencies out of order: %v to %v", took[0], took[len(took)-1])
	}
}

func TestHeads_EndsWithAWrongAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status         int
		digest, length string
	}{
		"Another digest": {200, "sha256:22", "7"},
		"Another length": {200, manifestDigest, "77"},
		"Another status": {503, manifestDigest, "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Docker-Content-Digest", tt.digest)
				w.Header().Set("Content-Length", tt.length)
				w.WriteHeader(tt.status)
			})
			_, err := Heads(t.Context(), Head{Address: address, Path: "/tag", Digest: manifestDigest, Length: 7}, 1, time.Minute)
			if err == nil || !strings.Contains(err.Error(), "a wrong answer") {
				t.Errorf("got %v, want an error", err)
			}
		})
	}
}

func TestFan_ComparesEveryBody(t *testing.T) {
	t.Parallel()
	want := content.Original(bytes.Repeat([]byte("larder"), 50_000))
	flipped := bytes.Clone(want)
	flipped[len(flipped)-1] ^= 1
	for name, tt := range map[string]struct {
		body     []byte
		declared int
		right    bool
	}{
		"Whole and right": {want, len(want), true},
		"A flipped bit":   {flipped, len(want), false},
		"Too short":       {want[:len(want)-1], len(want) - 1, false},
		"Cut off":         {want[:len(want)-1], len(want), false},
		"Too long":        {append(bytes.Clone(want), 0), len(want) + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(tt.declared))
				_, _ = w.Write(tt.body)
			})
			readings, err := Fan(t.Context(), address, "/blob", want, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range readings {
				if (r.Err == nil) != tt.right {
					t.Errorf("client %d: got %v, want right: %t", i, r.Err, tt.right)
				}
				if tt.right && (r.First <= 0 || r.Last < r.First) {
					t.Errorf("client %d: first byte after %s, last after %s", i, r.First, r.Last)
				}
			}
			if _, err := Repeat(t.Context(), address, "/blob", want, 2, 2); (err == nil) != tt.right {
				t.Errorf("reading again and again: got %v, want right: %t", err, tt.right)
			}
		})
	}
}

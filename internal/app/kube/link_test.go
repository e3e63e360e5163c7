package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/rest"
)

type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func TestLink_SaysOnceThatTheAPIServerIsGoneAndBack(t *testing.T) {
	t.Parallel()
	var lines []string
	log := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})
	down := true
	config := Configure(&rest.Config{Host: "https://kube.test", Transport: answer(func(*http.Request) (*http.Response, error) {
		if down {
			return nil, errors.New("connection refused")
		}
		return &http.Response{StatusCode: http.StatusForbidden}, nil
	})}, "larder-test", log)
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []bool{false, true, true, true, false, false, true, false} {
		down = step
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://kube.test/api", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := transport.RoundTrip(req); err == nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
	}
	if said := strings.Join(lines, "\n"); strings.Count(said, "does not answer") != 2 || strings.Count(said, "answers again") != 2 || len(lines) != 4 {
		t.Errorf("it said:\n%s\nwant twice that it does not answer, and twice that it does again", said)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"https://10.96.0.1:443":     "10.96.0.1:443",
		"https://kube.example":      "kube.example:443",
		"https://[fd00::1]:6443/":   "[fd00::1]:6443",
		"https://rancher.test/k8s/": "rancher.test:443",
		"http://localhost:8080":     "localhost:8080",
	} {
		if got := Address(&rest.Config{Host: host}); got != want {
			t.Errorf("Address(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestQuiet_LeavesReconcilesAndErrorsAlone(t *testing.T) {
	t.Parallel()
	var lines []string
	ctx, end := context.WithCancel(t.Context())
	log := quiet(ctx, funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	log.Info("Starting workers")
	log.WithName("mirror").WithValues("controller", "mirror").Info("Starting EventSource")
	log.WithValues("controller", "mirror").WithValues(reconcileID, "1").WithName("x").Info("deleted")
	log.Error(errors.New("broken"), "Reconciler error")
	if said := strings.Join(lines, "\n"); len(lines) != 2 || !strings.Contains(said, "deleted") || !strings.Contains(said, "broken") {
		t.Errorf("it said:\n%s\nwant what the reconcile said and the error", said)
	}
	end()
	loud := quiet(ctx, funcr.New(func(string, string) {}, funcr.Options{Verbosity: 10}))
	loud.Error(nil, "of no error at all") // klog may
	if log.WithName("x").Error(errors.New("not synced"), "because of the end"); len(lines) != 2 {
		t.Errorf("after the end it said %s, want no error", lines[2])
	}
}

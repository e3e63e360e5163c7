package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // distribution's handlers
	// Distribution's App has no way to end its event broadcaster.
	leak.Main(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

// newClient returns a client of the given registries with metrics of its own.
func newClient(t *testing.T, registries ...Registry) *Client {
	t.Helper()
	return newClientWith(t, Options{Registries: registries, UserAgent: "larder/test"})
}

func newClientWith(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Metrics == nil {
		o.Metrics = metrics.New(prometheus.NewRegistry())
	}
	c, err := New(o)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts an origin.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// at says that the host is to be reached at the endpoints.
func at(host string, endpoints ...string) Registry { return Registry{Host: host, Endpoints: endpoints} }

func app(host string) imageref.Repository { return imageref.Repository{Host: host, Path: "team/app"} }

func hostOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// wantError checks that err is an *Error of a reason and returns it.
func wantError(t *testing.T, err error, reason Reason) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want an *Error", err, err)
	}
	if e.Reason != reason {
		t.Fatalf("got reason %q, want %q: %v", e.Reason, reason, err)
	}
	return e
}

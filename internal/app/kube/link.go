package kube

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/version"
	"k8s.io/client-go/rest"
)

// Configure returns how a process talks to the API server, under its name ("larder-registry"), which the API server's log then tells. When
// the API server stops answering and when it answers again is logged once.
func Configure(c *rest.Config, process string, log logr.Logger) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS = -1 // the API server's priority and fairness is the limit
	c.UserAgent = process + "/" + version.Version()
	l := &link{log: log.WithValues("apiServer", c.Host)}
	c.Wrap(func(inner http.RoundTripper) http.RoundTripper { return watched{inner, l} })
	return c
}

// Address is the API server's host:port.
func Address(c *rest.Config) string {
	u, _, err := rest.DefaultServerUrlFor(c)
	switch {
	case err != nil:
		return c.Host
	case u.Port() != "":
		return u.Host
	case u.Scheme == "http":
		return net.JoinHostPort(u.Hostname(), "80")
	default:
		return net.JoinHostPort(u.Hostname(), "443")
	}
}

// link is whether the API server answers. Kubernetes' libraries try again in silence.
type link struct {
	log logr.Logger

	mu   sync.Mutex
	down time.Time // since when it does not answer; zero: it does
}

func (l *link) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down.IsZero() {
		l.down = time.Now()
		l.log.Info("the API server does not answer; going on without it, and trying again", "reason", err.Error())
	}
}

func (l *link) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down.IsZero() {
		l.log.Info("the API server answers again", "duration", time.Since(l.down).String())
		l.down = time.Time{}
	}
}

// watched tells a link how its requests end.
type watched struct {
	http.RoundTripper
	link *link
}

// RoundTrip makes one request.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	switch {
	case err == nil:
		w.link.answered()
	case r.Context().Err() == nil:
		w.link.failed(err)
	}
	return resp, err
}

// WrappedRoundTripper lets Kubernetes' libraries find what is wrapped.
func (w watched) WrappedRoundTripper() http.RoundTripper { return w.RoundTripper }

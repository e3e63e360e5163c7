package upstream

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestTLS_CAFile(t *testing.T) {
	t.Parallel()
	protocol := make(chan string, 2)
	s := httptest.NewUnstartedServer(unlessPing(func(w http.ResponseWriter, r *http.Request) {
		protocol <- r.Proto
		serveManifest(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))

	_, err := newClient(t, at("reg.test", s.URL)).Manifest(t.Context(), app("reg.test"), "latest")
	if e := wantError(t, err, Unreachable); !strings.Contains(e.Error(), "certificate") {
		t.Errorf("got %v", e)
	}
	for _, r := range []Registry{
		{Host: "reg.test", Endpoints: []string{s.URL}, CAFile: ca},
		{Host: "reg.test", Endpoints: []string{s.URL}, InsecureSkipVerify: true},
	} {
		_, err := newClient(t, r).Manifest(t.Context(), app("reg.test"), "latest")
		must(t, err)
		if got := <-protocol; got != "HTTP/1.1" {
			t.Errorf("spoke %s, want HTTP/1.1", got)
		}
	}
}

// An https endpoint on loopback is never tried in plain HTTP, whatever libraries think of loopback.
func TestTLS_NeverDowngraded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	c := newClient(t, at("reg.test", strings.Replace(s.URL, "http://", "https://", 1)))
	_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
	_ = wantError(t, err, Unreachable)
	if asked.Load() != 0 {
		t.Errorf("%d requests in plain HTTP", asked.Load())
	}
}

func TestProxy_OfTheEnvironment(t *testing.T) {
	var direct string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		direct = r.URL.Host
		if r.URL.Path != "/v2/" {
			serveManifest(w, r)
		}
	})
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "unproxied.invalid")
	c := newClient(t, at("origin.test", "http://origin.invalid:5000"), at("unproxied.test", "http://unproxied.invalid:5000"),
		at("metadata.test", "http://169.254.169.254"))
	_, err := c.Manifest(t.Context(), app("origin.test"), "latest")
	must(t, err)
	if direct != "origin.invalid:5000" {
		t.Errorf("the proxy was asked for %q", direct)
	}
	_, err = c.Manifest(t.Context(), app("unproxied.test"), "latest")
	_ = wantError(t, err, Unreachable)
	_, err = c.Manifest(t.Context(), app("metadata.test"), "latest")
	_ = wantError(t, err, Refused)
}

func TestConnections_AreReused(t *testing.T) {
	t.Parallel()
	remotes := make(chan string, 100)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		remotes <- r.RemoteAddr
		if r.URL.Path != "/v2/" {
			serveManifest(w, r)
		}
	})
	c := newClient(t, at("reg.test", s.URL))
	for range 10 {
		_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
		must(t, err)
	}
	close(remotes)
	seen := map[string]bool{}
	for remote := range remotes {
		seen[remote] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d connections for sequential requests, want 1", len(seen))
	}
}

func TestNew_RefusesBadOptions(t *testing.T) {
	t.Parallel()
	broken := writeFile(t, "no PEM, no JSON")
	for _, tt := range []struct {
		name string
		r    Registry
		want string
	}{
		{"No host", Registry{}, "must be written"},
		{"Upper case", Registry{Host: "Reg.test"}, "must be written"},
		{"A URL for a host", Registry{Host: "https://reg.test"}, "must be written"},
		{"No scheme", at("reg.test", "mirror.test:5000"), "https"},
		{"Another scheme", at("reg.test", "ftp://mirror.test"), "scheme"},
		{"A password", at("reg.test", "https://user:s3cret@mirror.test"), "credentials file"},
		{"A query", at("reg.test", "https://mirror.test?token=s3cret"), "query"},
		{"No CA file", Registry{Host: "reg.test", CAFile: "/no/such/file"}, "CA file"},
		{"No certificate in it", Registry{Host: "reg.test", CAFile: broken}, "no certificate"},
		{"No credentials file", Registry{Host: "reg.test", CredentialsFile: "/no/such/file"}, "credentials file"},
		{"Broken credentials file", Registry{Host: "reg.test", CredentialsFile: broken}, "credentials file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(Options{Registries: []Registry{tt.r}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := New(Options{Registries: []Registry{{Host: "a"}, {Host: "a"}}}); err == nil {
		t.Error("a host listed twice was accepted")
	}
}

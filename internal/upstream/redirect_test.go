package upstream

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/port"
)

func TestRedirect_ToACDNWithoutCredentials(t *testing.T) {
	t.Parallel()
	var headers atomic.Pointer[http.Header]
	cdn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Clone()
		headers.Store(&sent)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	})
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, cdn.URL+"/blob?signature=s3cret", http.StatusTemporaryRedirect)
	})
	entry := at("reg.test", origin.URL)
	entry.CredentialsFile = writeFile(t, `{"auths":{"reg.test":{"auth":"dXNlcjpwYXNz"}}}`)
	c := newClient(t, entry)
	b, err := c.Blob(t.Context(), app("reg.test"), digest.FromString("x"), 4, -1)
	must(t, err)
	if got := string(readAll(t, b)); got != "456789" || b.Offset != 4 || b.Size != 10 {
		t.Errorf("got %q from %d of %d", got, b.Offset, b.Size)
	}
	sent := *headers.Load()
	if sent.Get("Authorization") != "" || sent.Get("Range") != "bytes=4-" || sent.Get("User-Agent") != "larder/test" ||
		sent.Get("Accept-Encoding") != "identity" {
		t.Errorf("the CDN was sent %v", sent)
	}
}

func TestRedirect_OnTheSameHostKeepsCredentials(t *testing.T) {
	t.Parallel()
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/elsewhere" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		serveManifest(w, r)
	})
	entry := at("reg.test", origin.URL)
	entry.CredentialsFile = writeFile(t, `{"auths":{"reg.test":{"auth":"dXNlcjpwYXNz"}}}`)
	_, err := newClient(t, entry).Manifest(t.Context(), app("reg.test"), "latest")
	must(t, err)
}

func TestRedirect_ThatIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, location string
		reason         Reason
	}{
		{"To itself for ever", "/v2/team/app/manifests/latest?signature=s3cret", Invalid},
		{"To cloud metadata", "http://169.254.169.254/latest?signature=s3cret", Refused},
		{"To cloud metadata over IPv6", "http://[fd00:ec2::254]/latest?signature=s3cret", Refused},
		{"To cloud metadata in IPv6 clothes", "http://[::ffff:169.254.169.254]/?signature=s3cret", Refused},
		{"To a link-local address", "https://[fe80::1]/?signature=s3cret", Refused},
		{"To nowhere", "", Invalid},
		{"To another scheme", "file:///etc/passwd?signature=s3cret", Invalid},
		{"To what is no URL", "http://%zz/?signature=s3cret", Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				w.Header().Set("Location", tt.location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
			_, err := newClient(t, at("reg.test", origin.URL)).Manifest(t.Context(), app("reg.test"), "latest")
			if _ = wantError(t, err, tt.reason); strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a signature: %v", err)
			}
		})
	}
}

func TestRedirect_NeverFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	plain := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(origin.Close)
	c := newClient(t, Registry{Host: "reg.test", Endpoints: []string{origin.URL}, InsecureSkipVerify: true})
	_, err := c.Manifest(t.Context(), app("reg.test"), "latest")
	_ = wantError(t, err, Refused)
	if asked.Load() != 0 {
		t.Error("the redirect to plain HTTP was followed")
	}
}

func TestRedirect_SignedForGETAlone(t *testing.T) {
	t.Parallel()
	cdn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	})
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, cdn.URL, http.StatusFound)
		}
	})
	desc, err := newClient(t, at("reg.test", origin.URL)).ResolveBlob(t.Context(), app("reg.test"), digest.FromString("x"))
	must(t, err)
	if desc.Size != 10 {
		t.Errorf("size %d, want 10", desc.Size)
	}
}

func TestError_TellsNeitherQueryNorCredentials(t *testing.T) {
	t.Parallel()
	closed := "http://" + port.New(t).String()
	for _, location := range []string{
		closed + "/blob?signature=s3cret",
		strings.Replace(closed, "http://", "http://user:s3cret@", 1) + "/blob?signature=s3cret",
	} {
		origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Redirect(w, r, location, http.StatusFound)
			}
		})
		_, err := newClient(t, at("reg.test", origin.URL)).Blob(t.Context(), app("reg.test"), digest.FromString("x"), 0, -1)
		if _ = wantError(t, err, Unreachable); strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "?") {
			t.Errorf("the error tells too much: %v", err)
		}
	}
}

func TestError_OriginMessageIsCutAndCleaned(t *testing.T) {
	t.Parallel()
	origin := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, `{"errors":[{"code":"ODD","message":"see http://x/?sig=s3cret \u001b[31m%s"}]}`, strings.Repeat("é", 300))
	})
	_, err := newClient(t, at("reg.test", origin.URL)).Manifest(t.Context(), app("reg.test"), "latest")
	e := wantError(t, err, Invalid)
	text := e.Error()
	if !strings.Contains(text, "418 I'm a teapot: ODD: see http://x/?... [31mé") || strings.ContainsAny(text, "\x1b\ufffd") ||
		len(text) > 400 {
		t.Errorf("got %q", text)
	}
}

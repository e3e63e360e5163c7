package relay

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/tests/pair"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newSecureWorld is newWorld of one replica that answers by TLS, under a name, with an origin only where asked for.
func newSecureWorld(t *testing.T, name string, change func(*Options)) *world {
	t.Helper()
	folder := t.TempDir()
	ca := filepath.Join(folder, hop.TrustFile)
	pair.Replace(t, ca, pair.Write(t, folder, name))
	certificate, err := hop.OpenCertificate(folder)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := hop.OpenTrust(ca)
	if err != nil {
		t.Fatal(err)
	}
	front := &front{}
	w := newWorld(t, 1, func(o *Options) {
		known := NewReplicas([]string{front.listen(t, certificate.Config())}, func(_ context.Context, host string) ([]string, error) {
			return []string{host}, nil
		}, prometheus.NewGauge(prometheus.GaugeOpts{}), logr.Discard())
		known.Refresh(t.Context())
		o.Replicas, o.Trust, o.Origin = known, trust, nil
		change(o)
	})
	front.serve(w.replicas[0].address())
	return w
}

// front takes TLS off connections on their way to a replica.
type front struct {
	listener net.Listener
	conns    sync.WaitGroup
}

func (f *front) listen(t *testing.T, config *tls.Config) string {
	t.Helper()
	var err error
	if f.listener, err = tls.Listen("tcp", "127.0.0.1:0", config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the relay has closed its connections
		_ = f.listener.Close()
		f.conns.Wait()
	})
	return f.listener.Addr().String()
}

func (f *front) serve(address string) {
	f.conns.Go(func() {
		for {
			c, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.conns.Go(func() { relay(c, address) })
		}
	})
}

func relay(c net.Conn, address string) {
	defer c.Close()
	behind, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(behind, c)
		_ = behind.Close()
	}()
	_, _ = io.Copy(c, behind)
}

func TestHandler_RelaysByTLS(t *testing.T) {
	t.Parallel()
	w := newSecureWorld(t, hop.ServerName, func(*Options) {})
	manifest, layer, content := w.push(t, "team/app")
	if got := w.get(t, http.MethodGet, manifest); got.StatusCode != 200 {
		t.Errorf("a manifest: %d %s", got.StatusCode, got.body)
	}
	checkBody(t, w.get(t, http.MethodGet, layer), 200, content)
	w.replicas[0].behave(cut(1 << 20)) // in the middle of a record, again and again
	checkBody(t, w.get(t, http.MethodGet, layer), 200, content)
	w.replicas[0].behave(nil)
	checkBody(t, w.get(t, http.MethodGet, layer, "Range", "bytes=100-"), 206, content[100:])
}

// A pod that took the registry's address, or stands in between, learns nothing: no token, and not which image is wanted.
func TestHandler_TellsNothingToAStranger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	pair.Replace(t, path, []byte("hush\n"))
	w := newSecureWorld(t, "somebody.else", func(o *Options) { o.Token = openToken(t, path) })
	got := w.get(t, http.MethodGet, "/v2/"+host+"/team/app/manifests/1")
	if got.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(got.body), "hush") {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if n := len(w.replicas[0].requests()); n != 0 {
		t.Errorf("the stranger was asked %d times", n)
	}
	if n := testutil.ToFloat64(w.relay.o.Metrics.Attempts.WithLabelValues("untrusted")); n != 1 {
		t.Errorf("%v attempts are counted as untrusted, want 1", n)
	}
}

func TestHandler_ShowsTheOtherTokenWhereOneIsRefused(t *testing.T) {
	t.Parallel()
	for _, known := range []string{"old", "new"} {
		t.Run(known, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			pair.Replace(t, path, []byte("new\nold\n"))
			w := newWorld(t, 1, func(o *Options) { o.Token, o.Origin = openToken(t, path), nil })
			manifest, _, _ := w.push(t, "team/app")
			w.replicas[0].behave(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Header.Get("Authorization") != "Bearer "+known {
					rw.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(rw, r)
			})
			if got := w.get(t, http.MethodGet, manifest); got.StatusCode != 200 {
				t.Errorf("a replica that knows the %s one alone: %d", known, got.StatusCode)
			}
		})
	}
}

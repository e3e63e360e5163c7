package cluster

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/token"
	"github.com/larder-dev/larder/proxy/relay"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/pair"
	"github.com/larder-dev/larder/tests/process"
)

const manifestPath = "/v2/" + process.Host + "/team/app/manifests/v1"

// node is a node's relay with its files, before a registry, and nobody else: what the registry does not answer fails.
type node struct {
	dir string
	url string
	log logr.Logger // where it is not set, nothing is logged

	handler *relay.Handler
}

func (n *node) token() string { return filepath.Join(n.dir, "token") }
func (n *node) trust() string { return filepath.Join(n.dir, hop.TrustFile) }

// serve starts a relay on the files of a folder; those that are missing are not used.
func (n *node) serve(t *testing.T, registry string, useToken, useTrust bool) {
	t.Helper()
	o := relay.Options{Metrics: metrics.NewRelay(prometheus.NewRegistry()), Log: n.log, Node: "worker"}
	var err error
	if useToken {
		if o.Token, err = token.Open(n.token()); err != nil {
			t.Fatal(err)
		}
	}
	if useTrust {
		if o.Trust, err = hop.OpenTrust(n.trust()); err != nil {
			t.Fatal(err)
		}
	}
	o.Replicas = relay.NewReplicas([]string{registry}, func(_ context.Context, host string) ([]string, error) {
		return []string{host}, nil
	}, prometheus.NewGauge(prometheus.GaugeOpts{}), n.log)
	n.handler = relay.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { o.Replicas.Run(ctx) })
	server := httptest.NewServer(n.handler)
	n.url = server.URL
	t.Cleanup(func() {
		server.Close()
		cancel()
		running.Wait()
		n.handler.Close()
	})
}

// load has clients of nodes pull as fast as they can until it is ended; no pull may fail.
type load struct {
	pulls   atomic.Int64
	cancel  context.CancelFunc
	clients sync.WaitGroup
}

func pulling(t *testing.T, nodes ...*node) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	for _, n := range nodes {
		l.clients.Go(func() {
			for ctx.Err() == nil {
				if status, err := pullFrom(t.Context(), n.url+manifestPath); err != nil || status != http.StatusOK {
					t.Errorf("a pull: %d, %v", status, err)
					return
				}
				l.pulls.Add(1)
				n.handler.Close() // the next pull makes a connection of its own: those that are kept know of no rotation
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// end waits for the pulls that run.
func (l *load) end() {
	l.cancel()
	l.clients.Wait()
}

// goOn waits until more pulls are done.
func (l *load) goOn(t *testing.T) {
	t.Helper()
	want := l.pulls.Load() + 50
	process.Eventually(t, "more pulls", func() bool { return l.pulls.Load() >= want || t.Failed() })
}

func pullFrom(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// TestRotation_TheTokenIsReplacedWithoutAFailedPull does what docs/operations.md says, with the file of each pod changing at another time,
// in both orders.
func TestRotation_TheTokenIsReplacedWithoutAFailedPull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	larder := w.newRegistry(t, o, "--token-file", "token")
	atRegistry := func(content string) { pair.Replace(t, filepath.Join(larder.Dir, "token"), []byte(content)) }
	atRegistry("old\n")
	larder.Start(t)
	nodes := []*node{{dir: t.TempDir()}, {dir: t.TempDir()}}
	for _, n := range nodes {
		pair.Replace(t, n.token(), []byte("old\n"))
		n.serve(t, larder.Addr, true, false)
	}
	asks := func(shown string) int {
		got, _ := larder.Get(t, http.MethodGet, manifestPath, "Authorization", "Bearer "+shown)
		return got.StatusCode
	}
	l := pulling(t, nodes[0], nodes[0], nodes[1], nodes[1])
	l.goOn(t)
	both := "new\nold\n"
	pair.Replace(t, nodes[0].token(), []byte(both)) // a proxy first
	process.Eventually(t, "the first proxy to have seen both", func() bool { return l.pulls.Load() > 0 })
	l.goOn(t)
	atRegistry(both)
	process.Eventually(t, "the registry to know the new one", func() bool { return asks("new") == http.StatusOK })
	l.goOn(t)
	pair.Replace(t, nodes[1].token(), []byte(both)) // and one last
	l.goOn(t)
	pair.Replace(t, nodes[0].token(), []byte("new\n"))
	l.goOn(t)
	atRegistry("new\n")
	process.Eventually(t, "the old one to be refused", func() bool { return asks("old") == http.StatusUnauthorized })
	l.goOn(t)
	pair.Replace(t, nodes[1].token(), []byte("new\n"))
	l.goOn(t)
	l.end()
	for range 3 { // whoever recorded it may try it again
		if got := asks("old"); got != http.StatusUnauthorized {
			t.Errorf("the old token: %d, want 401", got)
		}
	}
	if got := asks("new"); got != http.StatusOK {
		t.Errorf("the new token: %d", got)
	}
}

// TestRotation_TheCertificateIsReplacedWithoutAFailedPull has the controller make and replace the registry's certificate under its roles, and
// the files of the registry and of two nodes follow at times of their own, as kubelets have them do.
func TestRotation_TheCertificateIsReplacedWithoutAFailedPull(t *testing.T) {
	t.Parallel()
	const settle = 8 * time.Second
	w := newWorld(t)
	o := origin.New(t)
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	controller := w.newController(t, "--registry-tls", "larder-registry", "--registry-tls-settle", settle.String())
	controller.Start(t)
	w.newController(t, "--registry-tls", "larder-registry", "--registry-tls-settle", settle.String()).Start(t) // does not lead
	first := w.serving(t)

	larder := w.newRegistry(t, o, "--tls-cert-dir", "tls")
	nodes := []*node{{dir: t.TempDir()}, {dir: t.TempDir()}}
	w.mount(t, filepath.Join(larder.Dir, "tls"), nodes...)
	larder.Start(t)
	for _, n := range nodes {
		n.serve(t, larder.Addr, false, true)
	}
	l := pulling(t, nodes[0], nodes[1])
	l.goOn(t)

	w.kubectl(t, "annotate", "secret", "-n", namespace, "larder-registry-tls", "larder.dev/rotate=now") // as docs/operations.md has it
	process.Eventually(t, "the next certificate to be trusted beside the first", func() bool { return len(w.trusted(t)) == 2 })
	if !w.serving(t).Equal(first) {
		t.Error("the next one serves before all can trust it")
	}
	process.Eventually(t, "the next certificate to serve", func() bool { return !w.serving(t).Equal(first) })
	if n := len(w.trusted(t)); n != 2 {
		t.Errorf("%d are trusted when the next one begins to serve, want both", n)
	}
	l.goOn(t)
	process.Eventually(t, "the first one not to be trusted any more", func() bool { return len(w.trusted(t)) == 1 })
	process.Eventually(t, "the nodes to see that", func() bool { return nodes[0].trusts(t, 1) && nodes[1].trusts(t, 1) })
	l.goOn(t)
	l.end()
	if got, err := pullFrom(t.Context(), "http://"+larder.Addr+manifestPath); err == nil && got == http.StatusOK {
		t.Error("the registry answers in plain HTTP too")
	}
}

// serving is the certificate that the registry is to serve, once there is one.
func (w *world) serving(t *testing.T) *x509.Certificate {
	t.Helper()
	var secret corev1.Secret
	process.Eventually(t, "the controller to make a certificate", func() bool {
		return w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "larder-registry-tls"}, &secret) == nil
	})
	return certificates(t, secret.Data[hop.CertificateFile])[0]
}

// trusted are the certificates that proxies are to trust.
func (w *world) trusted(t *testing.T) []*x509.Certificate {
	t.Helper()
	var config corev1.ConfigMap
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "larder-registry-ca"}, &config); err != nil {
		t.Fatal(err)
	}
	return certificates(t, []byte(config.Data[hop.TrustFile]))
}

// trusts says whether the file of a node holds so many certificates.
func (n *node) trusts(t *testing.T, want int) bool {
	t.Helper()
	content, err := os.ReadFile(n.trust())
	if err != nil {
		t.Fatal(err)
	}
	return len(certificates(t, content)) == want
}

// mount does for a registry's folder and nodes what their kubelets would: each copies what changed, at times of its own. It returns when all
// files are there.
func (w *world) mount(t *testing.T, registry string, nodes ...*node) {
	t.Helper()
	sync := []func(ctx context.Context) error{func(ctx context.Context) error {
		var secret corev1.Secret
		err := w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "larder-registry-tls"}, &secret)
		for _, file := range []string{hop.CertificateFile, hop.KeyFile} {
			if err == nil {
				pair.Replace(t, filepath.Join(registry, file), secret.Data[file])
			}
		}
		return err
	}}
	for _, n := range nodes {
		sync = append(sync, func(ctx context.Context) error {
			var config corev1.ConfigMap
			err := w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "larder-registry-ca"}, &config)
			if err == nil {
				pair.Replace(t, n.trust(), []byte(config.Data[hop.TrustFile]))
			}
			return err
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var kubelets errgroup.Group
	for i, copyFiles := range sync {
		if err := copyFiles(ctx); err != nil {
			t.Fatal(err)
		}
		kubelets.Go(func() error {
			tick := time.NewTicker(time.Duration(i+1) * 400 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				if err := copyFiles(ctx); err != nil && ctx.Err() == nil {
					return err
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		if err := kubelets.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// certificates reads PEM.
func certificates(t *testing.T, text []byte) (found []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, c)
	}
	return found
}

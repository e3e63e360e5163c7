package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/larder-dev/larder/tests/process"
)

// authority is where the webhook's certificate authority is.
var authority = client.ObjectKey{Namespace: namespace, Name: "larder-webhook-ca"}

// newHook returns a controller that serves the webhook, and is not started yet.
func (w *world) newHook(t testing.TB, flags ...string) *process.Larder {
	l := w.newController(t, append(flags, "--webhook")...)
	l.Write(t, "larder.yaml", "webhook:\n  ignoredImages: ['^quay\\.io/']\n  ignoredNamespaces: [kube-public]\n")
	return l
}

var listens = regexp.MustCompile(`Its pod webhook listens on (\S+),`)

// hookAddress is host:port of the webhook of a process, as it was started last.
func hookAddress(t testing.TB, l *process.Larder) string {
	t.Helper()
	var found [][]string
	process.Eventually(t, "the webhook to listen", func() bool {
		found = listens.FindAllStringSubmatch(l.Said(), -1)
		return len(found) > 0
	})
	return found[len(found)-1][1]
}

// configure creates the chart's webhook configuration, but that it leads to an address.
func (w *world) configure(t testing.TB, address string, bundle []byte) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	text, err := os.ReadFile("../../helm/larder/files/webhook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(text, config); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	config.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: new("https://localhost:" + port + "/pods"), CABundle: bundle}
	create(t, w, config)
	return config
}

// try creates a pod for a moment, and returns what its images became, and its annotations.
func (w *world) try(t testing.TB, images ...string) ([]string, map[string]string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "pod-"}}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	if err := w.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	var became []string
	for _, c := range pod.Spec.Containers {
		became = append(became, c.Image)
	}
	return became, pod.Annotations
}

func (w *world) awaitRewritten(t testing.TB) {
	t.Helper()
	process.Eventually(t, "pods to be rewritten", func() bool {
		images, _ := w.try(t, "nginx:1")
		return images[0] == proxy+"/docker.io/library/nginx:1"
	})
}

func ready(t testing.TB, l *process.Larder) (bool, string) {
	t.Helper()
	got, body := l.GetHealth(t, "/readyz")
	return got.StatusCode == http.StatusOK, string(body)
}

func TestWebhook_EveryReplicaServesItUnderItsRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.newHook(t), w.newHook(t)
	replicas := []*process.Larder{first, second}
	for _, l := range replicas {
		l.Start(t)
		process.Eventually(t, "it to say what it waits for", func() bool {
			ok, why := ready(t, l)
			return !ok && strings.Contains(why, `"larder-webhook" not found`)
		})
	}
	w.configure(t, hookAddress(t, second), nil)
	for _, l := range replicas { // the leader and the other one
		process.Eventually(t, "it to be ready", func() bool { ok, _ := ready(t, l); return ok })
	}
	w.awaitRewritten(t)
	images, annotations := w.try(t, "postgres:15", "quay.io/org/app:1", "redis")
	if want := []string{proxy + "/docker.io/library/postgres:15", "quay.io/org/app:1", "redis"}; strings.Join(images, " ") != strings.Join(want, " ") {
		t.Errorf("the images became %v, want %v", images, want)
	}
	if got, want := annotations["larder.dev/not-rewritten"], `{"c1":"IgnoredImage","c2":"PullPolicyAlways"}`; got != want {
		t.Errorf("the reasons are %s, want %s", got, want)
	}

	var before corev1.Secret
	if err := w.Get(t.Context(), authority, &before); err != nil {
		t.Fatal(err)
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	for n, replace := range []func() error{
		func() error { return w.Delete(t.Context(), before.DeepCopy()) },
		func() error {
			return w.Patch(t.Context(), before.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"data":{"tls.crt":null}}`)))
		},
	} {
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		process.Eventually(t, "a new authority to be trusted beside the old one", func() bool {
			if images, _ := w.try(t, "nginx:1"); images[0] == "nginx:1" {
				t.Error("a pod was not rewritten while the authority is replaced")
			}
			if err := w.Get(t.Context(), client.ObjectKey{Name: "larder-webhook"}, config); err != nil {
				t.Fatal(err)
			}
			return bytes.Count(config.Webhooks[0].ClientConfig.CABundle, []byte("BEGIN")) == n+2
		})
	}
	if !bytes.HasPrefix(config.Webhooks[0].ClientConfig.CABundle, before.Data["ca.crt"]) {
		t.Error("the earlier authority is not trusted any more")
	}
	_, metrics := second.GetHealth(t, "/metrics")
	if want := "larder_webhook_duration_seconds_count"; !strings.Contains(string(metrics), want) {
		t.Errorf("/metrics lacks %s", want)
	}
	second.Kill()
	if images, _ := w.try(t, "nginx:1"); images[0] != "nginx:1" {
		t.Errorf("without a webhook the image became %s", images[0])
	}
	if err := first.Signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestWebhook_StartsWithoutTheAPIServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.newHook(t, "--leader-elect=false")
	restore := w.Outage(t)
	l.Start(t)
	if ok, _ := ready(t, l); ok {
		t.Error("it is ready without having reached the API server")
	}
	restore()
	w.configure(t, hookAddress(t, l), nil)
	process.Eventually(t, "it to be ready", func() bool { ok, _ := ready(t, l); return ok })
	w.awaitRewritten(t)
	defer w.Outage(t)()
	if ok, why := ready(t, l); !ok {
		t.Errorf("it is not ready any more without the API server, which it does not need: %s", why)
	}
	w.awaitRewritten(t) // those that the API server asks come another way
}

func TestWebhook_CertificatesOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	bundle := issue(t, dir)
	l := w.newHook(t, "--leader-elect=false", "--webhook-cert-dir", dir)
	l.Start(t)
	process.Eventually(t, "it to be ready", func() bool { ok, _ := ready(t, l); return ok })
	config := w.configure(t, hookAddress(t, l), bundle)
	w.awaitRewritten(t)
	renewed := issue(t, dir)
	process.Eventually(t, "the renewed certificate", func() bool { return trusts(t, hookAddress(t, l), renewed) })
	if err := w.Get(t.Context(), authority, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret: %v, want none", err)
	}
	version := config.ResourceVersion
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(config), config); err != nil || config.ResourceVersion != version {
		t.Errorf("the configuration was written (%v), want it left alone", err)
	}
}

// issue writes tls.crt and tls.key of a certificate that is its own authority, and returns that.
func issue(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{"tls.crt": certificate, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate
}

// trusts says whether a client that trusts a bundle gets a connection.
func trusts(t *testing.T, address string, bundle []byte) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost"}}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

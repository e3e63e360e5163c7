package webhook_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
	"github.com/larder-dev/larder/webhook"
)

const (
	proxy  = "localhost:7439"
	behind = proxy + "/docker.io/library/"
)

var cluster *kube.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = kube.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a namespace of a test's own, of whose pods the API server asks a webhook.
type world struct {
	t         *testing.T
	namespace string
	registry  *prometheus.Registry
	calls     atomic.Int64
}

// newWorld returns one in which a webhook answers by a configuration of rules.
func newWorld(t *testing.T, c rewrite.Config) *world {
	t.Helper()
	rules, problems := rewrite.NewRules(proxy, "larder-system", c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	view := newView(t)
	rules.Unavailable = view.Unavailable
	w := &world{t: t, namespace: namespace(t, nil), registry: prometheus.NewRegistry()}
	handler, err := webhook.New(webhook.Options{
		Rules: rules, NamespaceLabels: view.NamespaceLabels, Digests: digests(t, view, w.registry).Of, Metrics: w.registry, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ask(serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.calls.Add(1)
		handler.ServeHTTP(rw, r)
	})))
	eventually(t, "the API server to ask", func() bool {
		pod := w.pod("probe", container("c", "nginx:1"))
		w.create(pod, client.DryRunAll)
		return pod.Spec.Containers[0].Image == behind+"nginx:1"
	})
	w.calls.Store(0)
	return w
}

func newView(t *testing.T) *webhook.View {
	t.Helper()
	c, err := cache.New(cluster.Config, cache.Options{Scheme: kube.Scheme(), DefaultTransform: usage.Slim, ReaderFailOnMissingInformer: true})
	if err != nil {
		t.Fatal(err)
	}
	scope := usage.Scope{Proxy: proxy}
	err = errors.Join(usage.IndexPods(t.Context(), c, scope), usage.IndexImages(t.Context(), c), usage.IndexRepositories(t.Context(), c))
	if err != nil {
		t.Fatal(err)
	}
	view, err := webhook.NewView(t.Context(), c, scope)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := c.Start(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "the view to sync", func() bool { return view.Check() == nil })
	return view
}

// digests are resolved by what a view tells.
func digests(t *testing.T, view *webhook.View, registry prometheus.Registerer) *webhook.Digests {
	t.Helper()
	d, err := webhook.NewDigests(webhook.DigestOptions{View: view, Live: cluster.Client, Metrics: registry, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// serve answers with TLS, and returns how a client gets there.
func serve(t *testing.T, handler http.Handler) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return admissionregistrationv1.WebhookClientConfig{URL: new(server.URL + webhook.Path), CABundle: bundle}
}

// namespace creates one of a test's own.
func namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	if err := cluster.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n.Name
}

// ask has the API server ask there by the real configuration, about the test's namespace and more.
func (w *world) ask(where admissionregistrationv1.WebhookClientConfig, more ...string) {
	w.t.Helper()
	config := webhook.Configuration(w.namespace, "larder-system", []string{metav1.NamespaceSystem})
	hook := &config.Webhooks[0]
	hook.ClientConfig = where
	hook.NamespaceSelector.MatchExpressions = append(hook.NamespaceSelector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: append(more, w.namespace),
	})
	configure(w.t, config)
}

// configure has a configuration in force until the test ends.
func configure(t *testing.T, config *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	if err := cluster.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Delete(context.Background(), config); err != nil {
			t.Error(err)
		}
	})
}

func (w *world) pod(name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: corev1.PodSpec{Containers: containers}}
}

func (w *world) create(pod *corev1.Pod, options ...client.CreateOption) {
	w.t.Helper()
	if err := cluster.Create(w.t.Context(), pod, options...); err != nil {
		w.t.Fatalf("creating pod %s: %v", pod.Name, err)
	}
}

func container(name, image string) corev1.Container {
	return corev1.Container{Name: name, Image: image}
}

func with(policy corev1.PullPolicy, c corev1.Container) corev1.Container {
	c.ImagePullPolicy = policy
	return c
}

// images are those of a pod by container.
func images(pod *corev1.Pod) map[string]string {
	found := map[string]string{}
	for _, c := range pod.Spec.InitContainers {
		found[c.Name] = c.Image
	}
	for _, c := range pod.Spec.Containers {
		found[c.Name] = c.Image
	}
	for _, c := range pod.Spec.EphemeralContainers {
		found[c.Name] = c.Image
	}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			found["volume/"+v.Name] = v.Image.Reference
		}
	}
	return found
}

// eventually waits for what happens in the API server.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

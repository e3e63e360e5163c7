package webhook_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/rewrite"
)

func TestOutage_AWebhookThatIsDownNeverBlocksAPod(t *testing.T) {
	t.Parallel()
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	for name, where := range map[string]func(*testing.T) admissionregistrationv1.WebhookClientConfig{
		"Nobody listens": func(*testing.T) admissionregistrationv1.WebhookClientConfig {
			return admissionregistrationv1.WebhookClientConfig{URL: new(gone.URL)}
		},
		"No such Service": func(*testing.T) admissionregistrationv1.WebhookClientConfig {
			return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "none"}}
		},
		"A certificate that nobody trusts": func(t *testing.T) admissionregistrationv1.WebhookClientConfig {
			where := serve(t, http.NotFoundHandler())
			where.CABundle = nil
			return where
		},
		"It hangs": func(t *testing.T) admissionregistrationv1.WebhookClientConfig {
			return serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client is gone
				<-r.Context().Done()
			}))
		},
		"It fails": func(t *testing.T) admissionregistrationv1.WebhookClientConfig {
			return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
		},
		"It says nonsense": func(t *testing.T) admissionregistrationv1.WebhookClientConfig {
			return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("nonsense")) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, namespace: namespace(t, nil)}
			w.ask(where(t))
			for i := range 3 { // at the first the configuration may not have arrived yet
				pod := w.pod(strings.Repeat("a", i+1), container("c", "nginx:1"))
				w.create(pod)
				if got := images(pod)["c"]; got != "nginx:1" {
					t.Errorf("the image is %s, want it as it was", got)
				}
			}
		})
	}
}

func TestOutage_WhatIsNotUnderstoodPassesAsItIs(t *testing.T) {
	t.Parallel()
	h := newRig(t, rewrite.Config{})
	for _, pod := range []string{`{"spec":{"containers":"none"}}`, `[]`, `null`, `{}`} {
		if resp := h.review(t, "default", pod); !resp.Allowed || resp.UID == "" || len(resp.Patch) > 0 {
			t.Errorf("a pod %s: %+v, want it to pass as it is", pod, resp)
		}
	}
	h.panics.Store(true)
	if resp := h.review(t, "default", `{"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}`); !resp.Allowed || resp.UID == "" || len(resp.Patch) > 0 {
		t.Errorf("a panic: %+v, want the pod to pass as it is", resp)
	}
	if got := count(t, h.registry, "larder_webhook_failures_total", ""); got != 4 {
		t.Errorf("%v failures were counted, want 4", got)
	}
	for _, body := range []string{"", "nonsense", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`} {
		if answer := h.post(t, []byte(body)); bytes.Contains(answer, []byte(`"uid":"1"`)) {
			t.Errorf("%q: the answer is %s", body, answer)
		}
	}
}

func TestCreate_DryRunsAreAnsweredAndNotCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	pod := w.pod("a", container("c", "nginx:1"))
	w.create(pod, client.DryRunAll)
	if got := images(pod)["c"]; got != behind+"nginx:1" {
		t.Errorf("the image is %s, want it rewritten", got)
	}
	if got := count(t, w.registry, "larder_webhook_images_total", "rewritten"); got != 0 {
		t.Errorf("%v images of dry runs were counted, want none", got)
	}
	w.create(w.pod("a", container("c", "nginx:1"), container("d", "nginx")))
	if got := count(t, w.registry, "larder_webhook_images_total", "rewritten"); got != 1 {
		t.Errorf("%v images were counted as rewritten, want 1", got)
	}
	if got := count(t, w.registry, "larder_webhook_images_total", string(rewrite.PullPolicyAlways)); got != 1 {
		t.Errorf("%v images were counted as left alone, want 1", got)
	}
}

// Another webhook that runs later adds a container: the API server asks again (reinvocationPolicy).
func TestCreate_ImagesThatOtherWebhooksInjectAreRewrittenToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	fail, effects := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	later := &admissionregistrationv1.MutatingWebhookConfiguration{}
	later.Name = "zz-" + w.namespace
	later.Webhooks = []admissionregistrationv1.MutatingWebhook{{
		Name: "sidecar.example.com", ClientConfig: serve(t, inject(`[{"op":"add","path":"/spec/containers/-","value":{"name":"sidecar","image":"envoy:1"}}]`)),
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
		NamespaceSelector: only(w.namespace), FailurePolicy: &fail, SideEffects: &effects, AdmissionReviewVersions: []string{"v1"},
	}}
	configure(t, later)
	eventually(t, "a sidecar that is rewritten", func() bool {
		pod := w.pod("a", container("c", "nginx:1"))
		w.create(pod, client.DryRunAll)
		if len(pod.Spec.Containers) == 1 {
			return false // the API server does not know of it yet
		}
		if got := images(pod); got["sidecar"] != behind+"envoy:1" || got["c"] != behind+"nginx:1" {
			t.Errorf("the images are %v, want all rewritten", got)
		}
		if got, want := pod.Annotations[rewrite.AnnotationOriginals], `{"c":"nginx:1","sidecar":"envoy:1"}`; got != want {
			t.Errorf("the originals are %s, want %s", got, want)
		}
		return true
	})
}

package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/webhook"
)

// rig is a webhook of which no API server asks, but a test.
type rig struct {
	view     *webhook.View
	handler  *webhook.Handler
	registry *prometheus.Registry
	panics   atomic.Bool // instead of answering
}

func newRig(t *testing.T, c rewrite.Config) *rig {
	t.Helper()
	rules, problems := rewrite.NewRules(proxy, "larder-system", c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := &rig{view: newView(t), registry: prometheus.NewRegistry()}
	var err error
	r.handler, err = webhook.New(webhook.Options{Rules: rules, Metrics: r.registry, Log: logr.Discard(),
		NamespaceLabels: func(ctx context.Context, name string) map[string]string {
			if r.panics.Load() {
				panic("a bug")
			}
			return r.view.NamespaceLabels(ctx, name)
		}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// review asks about a pod that is created, as an API server would.
func (r *rig) review(t *testing.T, namespace, pod string) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(pod)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := r.post(t, body)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &review); err != nil || review.Response == nil {
		t.Fatalf("the answer is %s (%v), want a review", answer, err)
	}
	return review.Response
}

func (r *rig) post(t *testing.T, body []byte) []byte {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	r.handler.ServeHTTP(recorder, req)
	return recorder.Body.Bytes()
}

// count returns a counter's value, summed over the series that have the value among their labels'; an empty one is that of all.
func count(t *testing.T, gatherer prometheus.Gatherer, name, value string) float64 {
	t.Helper()
	families, err := gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			has := value == ""
			for _, label := range metric.GetLabel() {
				has = has || label.GetValue() == value
			}
			if has {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// inject is a webhook that answers with a patch, once: what it adds is there at the second time.
func inject(patch string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var review admissionv1.AdmissionReview
		if err == nil {
			err = json.Unmarshal(body, &review)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if !strings.Contains(string(review.Request.Object.Raw), "sidecar") {
			review.Response.Patch, review.Response.PatchType = []byte(patch), new(admissionv1.PatchTypeJSONPatch)
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	})
}

func only(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/larder-dev/larder/tests/process"
)

const (
	pace    = time.Second / 500
	clients = 32
)

// deploymentPod is as large as those that a Deployment's controller makes.
func deploymentPod() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", GenerateName: "shop-5d4f8c7b9d-", Labels: map[string]string{"app": "shop", "pod-template-hash": "5d4f8c7b9d"},
		Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": fmt.Sprintf("%064d", 1)},
	}}
	for i := range 3 {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: fmt.Sprintf("ghcr.io/org/app%d:v1.2.%d", i, i), Command: []string{"/app", "--serve"}}
		for j := range 15 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", j), Value: fmt.Sprintf("a value of some length %d", j)})
		}
		c.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/app"}, {Name: "tmp", MountPath: "/tmp"}}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "busybox:1.37"}}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop"}}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	return pod
}

// newServed returns a world in which a controller serves the webhook, of which the API server asks.
func newServed(b *testing.B) (*world, *process.Larder, *admissionregistrationv1.MutatingWebhookConfiguration) {
	w := newWorld(b)
	l := w.newHook(b, "--leader-elect=false")
	l.Start(b)
	config := w.configure(b, hookAddress(b, l), nil)
	process.Eventually(b, "the webhook to be ready", func() bool { ok, _ := ready(b, l); return ok })
	w.awaitRewritten(b)
	return w, l, config
}

// BenchmarkWebhook_Review asks the webhook as an API server does, 500 times a second: -benchtime 15000x is half a minute. A review that
// starts late is counted from when it should have started.
func BenchmarkWebhook_Review(b *testing.B) {
	_, l, _ := newServed(b)
	pod, err := json.Marshal(deploymentPod())
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Namespace: "default", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: pod},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	asker := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: clients, //nolint:gosec // a benchmark's own
	}}
	url := "https://" + hookAddress(b, l) + "/pods"
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	for range clients { // API servers keep their connections
		wg.Go(func() { _, _ = post(b.Context(), asker, url, body) })
	}
	wg.Wait()
	b.ResetTimer()
	for start, i := time.Now(), 0; i < b.N; i++ {
		due := start.Add(time.Duration(i) * pace)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			answer, err := post(b.Context(), asker, url, body)
			took[i] = time.Since(due)
			if err != nil || !bytes.Contains(answer, []byte(`"patch"`)) {
				b.Errorf("the answer is %s (%v), want a patch", answer, err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "client-p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "client-p99-ms")
	reportOwn(b, l)
}

func post(ctx context.Context, c *http.Client, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// reportOwn reports what the webhook's own histogram says.
func reportOwn(b *testing.B, l *process.Larder) {
	b.Helper()
	_, text := l.GetHealth(b, "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	h := families["larder_webhook_duration_seconds"].GetMetric()[0].GetHistogram()
	for unit, q := range map[string]float64{"webhook-p50-ms-at-most": 0.5, "webhook-p99-ms-at-most": 0.99} {
		for _, bucket := range h.GetBucket() {
			if float64(bucket.GetCumulativeCount()) >= q*float64(h.GetSampleCount()) {
				b.ReportMetric(bucket.GetUpperBound()*1000, unit)
				break
			}
		}
	}
}

// BenchmarkWebhook_Create creates pods through the API server as fast as that goes, with the webhook and without.
func BenchmarkWebhook_Create(b *testing.B) {
	w, l, config := newServed(b)
	b.Run("With", func(b *testing.B) {
		w.createMany(b)
		reportOwn(b, l)
	})
	if err := w.Delete(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	process.Eventually(b, "pods to be left alone", func() bool {
		images, _ := w.try(b, "nginx:1")
		return images[0] == "nginx:1"
	})
	b.Run("Without", w.createMany)
}

func (w *world) createMany(b *testing.B) {
	var wg sync.WaitGroup
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				begin := time.Now()
				if err := w.Create(b.Context(), deploymentPod()); err != nil {
					b.Error(err)
				}
				took[i-1] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
}

package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/larder-dev/larder/tests/kube"
)

var options = Options{Name: "larder-webhook", Namespace: "larder-system", settle: 5 * time.Second}

// replica answers with a certificate of its own; each request on a connection of its own.
func replica(t *testing.T, c *kube.Cluster) (*Own, net.Listener) {
	t.Helper()
	m, err := ctrl.NewManager(c.Config, ctrl.Options{
		Scheme: kube.Scheme(), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{ByObject: Objects(options), ReaderFailOnMissingInformer: true},
		Controller: config.Controller{SkipNameValidation: new(true)},
		NewClient: func(c *rest.Config, o client.Options) (client.Client, error) {
			inner, err := client.NewWithWatch(c, o)
			return interceptor.NewClient(inner, interceptor.Funcs{Patch: patchLate}), err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := NewOwn(t.Context(), m, options)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	allow := admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })
	server := &http.Server{Handler: &admission.Webhook{Handler: allow}, ReadHeaderTimeout: time.Minute}
	server.SetKeepAlivesEnabled(false)
	run(t, func(ctx context.Context) error { return m.Start(ctx) })
	run(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { _ = server.Close() })
		err := server.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: own.GetCertificate, MinVersion: tls.VersionTLS12}))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	return own, listener
}

// patchLate leaves much time between a new authority and trust in it.
func patchLate(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, options ...client.PatchOption) error {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return c.Patch(ctx, o, p, options...)
}

// run runs f until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// spread is an address behind which replicas take turns, as behind a Service.
func spread(t *testing.T, replicas ...net.Listener) string {
	t.Helper()
	front, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	go func() {
		for i := 0; ; i++ {
			in, err := front.Accept()
			if err != nil {
				return
			}
			go forward(in, replicas[i%len(replicas)].Addr().String())
		}
	}()
	return fmt.Sprintf("https://localhost:%d/pods", front.Addr().(*net.TCPAddr).Port)
}

func forward(in net.Conn, to string) {
	defer in.Close()
	out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(in, out)
}

func configuration(url string) *admissionregistrationv1.MutatingWebhookConfiguration {
	fail, effects := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: options.Name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.larder.dev", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			FailurePolicy: &fail, SideEffects: &effects, AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func TestRotation_NoPodFailsWhileTheAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	c := kube.New(t)
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: options.Namespace}},
		// Another's secret and another's configuration, to be left alone.
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: options.Namespace, Name: "other"}},
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "other"}},
	} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	first, firstListener := replica(t, c)
	second, secondListener := replica(t, c)
	for _, own := range []*Own{first, second} {
		eventually(t, "a certificate", func() bool { _, err := own.GetCertificate(nil); return err == nil })
		if err := own.Check(); err == nil {
			t.Error("it is ready while no configuration says whom to trust, want not")
		}
	}
	config := configuration(spread(t, firstListener, secondListener))
	if err := c.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for _, own := range []*Own{first, second} {
		eventually(t, "it to be ready", func() bool { return own.Check() == nil })
	}
	created := pods(t, c)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: options.Namespace, Name: "larder-webhook-ca"}}
	for round, replace := range []func() error{
		func() error { return c.Delete(t.Context(), secret.DeepCopy()) },
		func() error { // as if its time had come: the library makes a new one
			return c.Patch(t.Context(), secret.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"data":{"tls.crt":null}}`)))
		},
		func() error { return c.Delete(t.Context(), secret.DeepCopy()) },
	} {
		before := created.Load()
		old, _ := first.GetCertificate(nil)
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		var bundle []byte
		eventually(t, "both authorities to be trusted", func() bool {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(config), config); err != nil {
				t.Fatal(err)
			}
			bundle = config.Webhooks[0].ClientConfig.CABundle
			return len(parse(bundle, time.Now())) == round+2
		})
		for _, own := range []*Own{first, second} {
			eventually(t, "the replicas to serve the new certificate", func() bool {
				now, err := own.GetCertificate(nil)
				return err == nil && issuedBy(now, parse(bundle, time.Now())[round+1]) && own.Check() == nil
			})
		}
		if err := vouches(bundle, old.Leaf, "localhost", time.Now()); err != nil {
			t.Errorf("the earlier certificate is not trusted any more: %v", err)
		}
		eventually(t, "pods that are created with it", func() bool { return created.Load() > before+50 })
	}
	version := config.ResourceVersion
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(config), config); err != nil || config.ResourceVersion != version {
		t.Errorf("the configuration was written without need (%v)", err)
	}
}

func issuedBy(c *tls.Certificate, authority *x509.Certificate) bool {
	return c.Leaf.CheckSignatureFrom(authority) == nil
}

// pods creates pods until the test ends, none of which may fail, and counts them.
func pods(t *testing.T, c *kube.Cluster) *atomic.Int64 {
	t.Helper()
	var created, failed atomic.Int64
	create := func(ctx context.Context) error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "pod-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx:1"}}},
		}
		return c.Create(ctx, pod, client.DryRunAll)
	}
	eventually(t, "the API server to ask", func() bool { return create(t.Context()) == nil })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := create(ctx); err == nil {
					created.Add(1)
				} else if ctx.Err() == nil && failed.Add(1) < 5 {
					t.Errorf("creating a pod: %v", err)
				}
			}
		})
	}
	t.Cleanup(func() { // before the replicas end
		cancel()
		wg.Wait()
		t.Logf("%d pods were created, %d failed", created.Load(), failed.Load())
	})
	return &created
}

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
